// What a fuzz target is: a function of any bytes that returns, and ends the program if a property does not
// hold. The form is libFuzzer's, so that it can be linked instead of driver.cc.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size);
