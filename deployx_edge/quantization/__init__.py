"""int8: scales from calibration data by PPQ, and models that compute what int8 layers will."""
