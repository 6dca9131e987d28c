// What a daemon keeps of root's privileges.
#pragma once

namespace overlay {

// Core dumps off, for this process and all it starts. Keys are in memory.
void forbidCoreFiles();

// To be called before the daemon's program is executed; nothing that it executes gets back what is dropped here,
// whatever the caller's own sets were.
// Kept: CAP_NET_ADMIN (interface, routes, rules, packet marks), CAP_NET_BIND_SERVICE (port 53 of the node's own
// address), and with `keepsFileAccess` CAP_DAC_OVERRIDE (a tunnel file that belongs to somebody else).
// False, with errno set, if there was something to drop and it could not be dropped.
bool dropPrivileges(bool keepsFileAccess);

}  // namespace overlay
