# Read by gRPC's project(): its sources are compiled eight in one (CMAKE_UNITY_BUILD), because
# nearly all of their time goes into the same headers. Left alone are those whose static names
# meet the ones of others; with another version of gRPC the compiler names the new ones.
file(GLOB_RECURSE sources_in_c RELATIVE "${CMAKE_CURRENT_SOURCE_DIR}"
     "${CMAKE_CURRENT_SOURCE_DIR}/src/core/*.c" "${CMAKE_CURRENT_SOURCE_DIR}/third_party/*.c")
set_source_files_properties(
  ${sources_in_c} # upb's, generated: each has the same names
  src/core/ext/filters/client_channel/lb_policy/weighted_target/weighted_target.cc
  src/core/ext/transport/chttp2/transport/bin_encoder.cc
  src/core/lib/event_engine/posix_engine/ev_poll_posix.cc
  src/core/lib/iomgr/ev_poll_posix.cc
  src/core/lib/iomgr/ev_posix.cc
  src/core/lib/security/credentials/alts/grpc_alts_credentials_server_options.cc
  src/core/tsi/local_transport_security.cc
  src/cpp/client/channel_cc.cc # here and below: g_gli_initializer
  src/cpp/client/client_context.cc
  src/cpp/client/credentials_cc.cc
  src/cpp/client/secure_credentials.cc
  src/cpp/common/alarm.cc
  src/cpp/common/completion_queue_cc.cc
  src/cpp/common/tls_certificate_verifier.cc
  src/cpp/server/server_cc.cc
  src/cpp/server/server_context.cc
  src/cpp/server/server_credentials.cc
  src/cpp/util/byte_buffer_cc.cc
  PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
