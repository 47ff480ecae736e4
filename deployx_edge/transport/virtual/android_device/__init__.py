"""An Android device that is a process: adb's device protocol over a folder of this computer.

See "Links over adb" in docs/architecture.md for what is real in it and what is played.
"""
