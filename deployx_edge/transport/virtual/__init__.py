"""A target's binaries under qemu-user: virtual:"""
