// Stands in for a header of Qualcomm's SDK in tests, see snpe_stand_in.h.
#pragma once

#include "snpe_stand_in.h"
