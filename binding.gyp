{
  # What a prebuilt addon is linked with besides, see bin/prebuild.mjs.
  "variables": { "prebuilt_with%": "" },
  "target_defaults": {
    # The parser of what the network and the kernel send deserves the usual hardening.
    "configurations": {
      "Release": {
        "defines": ["_FORTIFY_SOURCE=2"]
      }
    },
    "ldflags": ["-Wl,-z,relro,-z,now"],
    "cflags!": ["-fexceptions"],
    "cflags_cc!": ["-fexceptions", "-std=gnu++20", "-std=gnu++17", "-std=c++17"],
    "cflags_cc": [
      "-std=c++17",
      "-fno-exceptions",
      "-fstack-protector-strong",
      "-fvisibility=hidden",
      "-Wall",
      "-Wextra",
      "-Wconversion"
    ]
  },
  "targets": [
    {
      "target_name": "overlay",
      "sources": [
        "native/core/addresses.cc",
        "native/core/aead/avx2.cc",
        "native/core/aead/avx512.cc",
        "native/core/aead/kernels.cc",
        "native/core/aead/known-answer.cc",
        "native/core/aead/openssl.cc",
        "native/core/aead/scalar.cc",
        "native/core/datagram.cc",
        "native/core/dataplane/allowed-ips.cc",
        "native/core/dataplane/checksum.cc",
        "native/core/dataplane/coalescer.cc",
        "native/core/dataplane/data-plane.cc",
        "native/core/dataplane/epochs.cc",
        "native/core/dataplane/event-queue.cc",
        "native/core/dataplane/frame-port.cc",
        "native/core/dataplane/inbound-finish.cc",
        "native/core/dataplane/inbound.cc",
        "native/core/dataplane/index-table.cc",
        "native/core/dataplane/inner-packet.cc",
        "native/core/dataplane/inner-port.cc",
        "native/core/dataplane/keepalives.cc",
        "native/core/dataplane/keypair.cc",
        "native/core/dataplane/mergeable.cc",
        "native/core/dataplane/outbound-send.cc",
        "native/core/dataplane/outbound.cc",
        "native/core/dataplane/outer-socket.cc",
        "native/core/dataplane/own-datagrams.cc",
        "native/core/dataplane/plane-state.cc",
        "native/core/dataplane/receive-buffers.cc",
        "native/core/dataplane/segmenter.cc",
        "native/core/errno-name.cc",
        "native/core/link-monitor.cc",
        "native/core/links.cc",
        "native/core/netlink-message.cc",
        "native/core/netlink-socket.cc",
        "native/core/network-namespace.cc",
        "native/core/routes.cc",
        "native/core/rules.cc",
        "native/core/tun.cc",
        "native/core/udp-batch.cc",
        "native/core/udp-socket.cc",
        "native/core/unix-socket.cc",
        "native/binding/addon.cc",
        "native/binding/convert.cc",
        "native/binding/monitor-port.cc",
        "native/binding/network.cc",
        "native/binding/plane-port.cc",
        "native/binding/plane-values.cc",
        "native/binding/process.cc",
        "native/binding/readiness.cc",
        "native/binding/tun-port.cc",
        "native/binding/udp-port.cc",
        "native/binding/unix-socket.cc"
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": [
        "NAPI_VERSION=9",
        "NAPI_DISABLE_CPP_EXCEPTIONS",
        "NODE_ADDON_API_DISABLE_DEPRECATED",
        # A worker may be terminated in the middle of a call: then nothing can be thrown, nor need be.
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"
      ],
      "conditions": [
        [
          "prebuilt_with!=''",
          {
            "sources": ["native/prebuilt/old-glibc.cc"],
            # Nothing of the C++ runtime is asked of the machine, or shown to other addons.
            "libraries": ["<@(prebuilt_with)"],
            "ldflags": [
              "-static-libstdc++",
              "-static-libgcc",
              "-Wl,--exclude-libs,ALL",
              "-Wl,--strip-all"
            ]
          }
        ]
      ]
    },
    {
      "target_name": "overlay-guard",
      "type": "executable",
      "sources": ["native/guard/main.cc", "native/guard/privileges.cc"],
      "conditions": [["prebuilt_with!=''", { "ldflags": ["-static-pie", "-Wl,--strip-all"] }]]
    }
  ]
}
