// A network of one layer, run: links the layers' factory, the CPU dispatch and the threads.
#include <ncnn/c_api.h>
#include <ncnn/net.h>

#include <cstdio>
#include <cstring>

int main() {
  const char* param = "7767517\n2 2\nInput in 0 1 in\nReLU relu 1 1 in out\n";
  ncnn::Net net;
  if (net.load_param_mem(param) != 0) return 1;
  const unsigned char no_weights = 0;
  if (net.load_model(&no_weights) < 0) return 2;
  ncnn::Mat in(2), out;
  in[0] = -1.0F;
  in[1] = 2.0F;
  ncnn::Extractor extractor = net.create_extractor();
  if (extractor.input("in", in) != 0 || extractor.extract("out", out) != 0) return 3;
  std::printf("ncnn %s: %g %g\n", ncnn_version(), out[0], out[1]);
  // The version that was asked for, not the day of the build.
  if (std::strstr(ncnn_version(), "20261020") == nullptr) return 4;
  return out[0] == 0.0F && out[1] == 2.0F ? 0 : 5;
}
