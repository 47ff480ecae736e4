"""Compiles packages and the agent for a target: Conan, CMake, zig, ELF files, source archives."""
