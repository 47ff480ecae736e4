"""Android devices behind an adb server: adb:"""
