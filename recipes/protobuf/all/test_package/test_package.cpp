// A message there and back: links the runtime and a well-known type.
#include <google/protobuf/timestamp.pb.h>

#include <cstdio>

int main() {
  google::protobuf::Timestamp sent, received;
  sent.set_seconds(1234567890);
  if (!received.ParseFromString(sent.SerializeAsString())) return 1;
  std::printf("protobuf %d: %s\n", GOOGLE_PROTOBUF_VERSION, received.ShortDebugString().c_str());
  return received.seconds() == sent.seconds() && GOOGLE_PROTOBUF_VERSION == 3021012 ? 0 : 2;
}
