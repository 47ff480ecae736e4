"""This computer: local:"""
