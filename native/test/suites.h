// The tests by subject. The last two change network settings.
#pragma once

#include <vector>

#include "check.h"

namespace overlay {

std::vector<Test> basicTests();
std::vector<Test> aeadTests();
std::vector<Test> segmenterTests();
std::vector<Test> coalescerTests();
std::vector<Test> tableTests();
std::vector<Test> planeTests();
std::vector<Test> netlinkMessageTests();
std::vector<Test> udpTests();
std::vector<Test> unixSocketTests();
// In a network namespace only.
std::vector<Test> tunTests();
std::vector<Test> rtnetlinkTests();

}  // namespace overlay
