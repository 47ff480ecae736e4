"""Boards on the network: ssh:"""
