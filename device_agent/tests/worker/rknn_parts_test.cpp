// What the RKNN worker reads and decides without a library.
#include <doctest/doctest.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "tests/worker/loaded.h"
#include "tests/worker/rknn_file.h"
#include "workers/rknn/board.h"
#include "workers/rknn/elements.h"
#include "workers/rknn/layer_table.h"
#include "workers/rknn/library.h"
#include "workers/rknn/model_file.h"
#include "workers/rknn/versions.h"

using namespace dx;
using namespace dx::test;

namespace {

namespace fs = std::filesystem;

// A board's own files below a folder.
struct FakeBoard {
  FakeBoard() : root(folder.write("here", "")) {
    root = root.substr(0, root.rfind('/')) + "/board";
    fs::create_directories(root + "/dev");
  }
  void file(const std::string& path, const std::string& content) const {
    fs::create_directories(fs::path(root + path).parent_path());
    std::ofstream(root + path, std::ios::binary) << content;
  }
  TemporaryFolder folder;
  std::string root;
};

rknn::Attributes image(std::uint32_t height, std::uint32_t width, std::uint32_t channels) {
  rknn::Attributes made{};
  made.format = rknn::kNhwc;
  made.dim_count = 4;
  made.dims[0] = 1;
  made.dims[1] = height;
  made.dims[2] = width;
  made.dims[3] = channels;
  made.elements = height * width * channels;
  made.type = rknn::kInt8;
  made.quantization = rknn::kAffine;
  made.scale = 0.5F;
  made.zero_point = 1;
  made.width_stride = width;
  made.bytes_with_stride = made.elements;
  return made;
}

}  // namespace

TEST_CASE("a file tells which toolkit made it and for which chip, also one that was cut") {
  const std::string whole = rknn_file("model", "2.3.2", "rk3566");
  const Result<ModelFileFacts> facts = read_model_file(whole);
  REQUIRE(facts);
  CHECK(facts.value().toolkit == "2.3.2");
  CHECK(facts.value().chips == std::vector<std::string>{"rk3566"});
  for (std::size_t size = 4; size < whole.size(); ++size) {
    CHECK(fails(read_model_file(whole.substr(0, size)), FailureCode::kRuntimeRefused,
                {"not a whole .rknn model"}));
  }
  CHECK(fails(read_model_file("ONNX"), FailureCode::kRuntimeRefused, {"not an .rknn model"}));
  CHECK(fails(read_model_file(""), FailureCode::kRuntimeRefused, {"not an .rknn model"}));
  std::string huge = whole;
  std::memset(huge.data() + 16, 0xff, 8);
  CHECK_FALSE(read_model_file(huge));
  // One that describes itself in another way is for the library to judge.
  std::string other = whole;
  other[other.find("{\"name")] = '[';
  const Result<ModelFileFacts> untold = read_model_file(other);
  REQUIRE(untold);
  CHECK(untold.value().toolkit.empty());
  CHECK(untold.value().chips.empty());
}

TEST_CASE("a library older than the toolkit is refused with all three versions") {
  const auto checked = [](const std::string& toolkit, const std::string& library) {
    return check_versions({toolkit, library, "0.9.8"});
  };
  CHECK(checked("2.3.2", "2.3.0"));
  CHECK(checked("2.3.2", "2.10.0"));
  CHECK(checked("1.6.0", "2.3.0"));
  CHECK(checked("", "2.3.0"));
  CHECK(checked("2.3.2", ""));
  for (const char* const library : {"2.3.2", "1.99.0", "2.4.9"}) {
    CHECK(fails(checked("2.5.0", library), FailureCode::kRuntimeRefused,
                {"toolkit 2.5.0 made the model", std::string("runtime library ") + library,
                 "driver 0.9.8", "librknnrt.so of 2.5.0", "check_versions=off"}));
  }
  CHECK(RknnVersions{"2.5.0", "", ""}.text().find("library not told and driver not told") !=
        std::string::npos);
}

TEST_CASE("a library's file tells its version, and one that is missing where it was looked for") {
  CHECK(version_in(std::string("\0x librknnrt version: 2.3.2 (429f@2025)", 40)) == "2.3.2");
  CHECK(version_in("librknnrt version: ").empty());
  CHECK(version_in("nothing").empty());
  const Result<Library> none = open_library({"/nowhere/librknnrt.so", "/oem/none.so"});
  REQUIRE_FALSE(none);
  for (const char* const part :
       {"librknnrt.so is not on this board", "/nowhere/librknnrt.so", "/oem/none.so", "/usr/lib"}) {
    CHECK(none.failure().message.find(part) != std::string::npos);
  }
  const TemporaryFolder folder;
  const Result<Library> broken = open_library({folder.write("librknnrt.so", "no library")});
  REQUIRE_FALSE(broken);
  CHECK(broken.failure().message.find("file too short") != std::string::npos);
  const Result<Library> other = open_library({"libc.so.6"});
  REQUIRE_FALSE(other);
  CHECK(other.failure().message.find("no function rknn_init") != std::string::npos);
}

TEST_CASE("a board's chip, driver and nodes are read from its own files") {
  const FakeBoard board;
  CHECK(NpuBoard::read(board.root).chip.empty());
  CHECK(NpuBoard::read(board.root).nodes.empty());
  board.file("/proc/device-tree/compatible", std::string("radxa,rock-5b\0rockchip,rk3588\0", 30));
  board.file("/sys/kernel/debug/rknpu/version", "RKNPU driver: v0.9.8\n");
  board.file("/dev/rknpu", "");
  for (const auto& [node, driver] : {std::pair{"renderD128", "panthor"}, {"renderD129", "RKNPU"}}) {
    const std::string device = board.root + "/sys/class/drm/" + node + "/device";
    fs::create_directories(device);
    fs::create_directory_symlink(std::string("/sys/bus/platform/drivers/") + driver,
                                 device + "/driver");
  }
  const NpuBoard found = NpuBoard::read(board.root);
  CHECK(found.chip == "rk3588");
  CHECK(found.driver == "0.9.8");
  CHECK(found.nodes ==
        std::vector<std::string>{board.root + "/dev/dri/renderD129", board.root + "/dev/rknpu"});
}

TEST_CASE("a node that this user may not open is named with its group and what to do") {
  const TemporaryFolder folder;
  const std::string node = folder.write("rknpu", "");
  CHECK(closed_node_text({node, "/nowhere"}).empty());
  if (::geteuid() != 0) return;  // only root may give a node away and become another
  const std::string place = node.substr(0, node.rfind('/'));
  REQUIRE(::chmod(place.c_str(), 0755) == 0);
  REQUIRE(::chmod(node.c_str(), 0660) == 0);
  const auto said = [&node](gid_t group) {
    REQUIRE(::chown(node.c_str(), 0, group) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      // Another user's view, in a process of its own.
      const bool left =
          ::setgroups(0, nullptr) == 0 && ::setgid(65534) == 0 && ::setuid(65534) == 0;
      std::ofstream(std::getenv("DX_SAID")) << (left ? closed_node_text({node}) : "not left");
      ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    std::ifstream file(std::getenv("DX_SAID"));
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  const std::string told = folder.write("said", "");
  REQUIRE(::chmod(told.c_str(), 0666) == 0);
  setenv("DX_SAID", told.c_str(), 1);
  const group* const video = ::getgrnam("video");
  REQUIRE(video != nullptr);
  CHECK(said(video->gr_gid) == "this user may not open the NPU's " + node +
                                   ": add it to the group video on the board (sudo usermod -aG "
                                   "video USER), and connect again");
  CHECK(said(0).find("sudo chgrp render " + node) != std::string::npos);
}

TEST_CASE("chips have cores, and some share one NPU") {
  CHECK(npu_cores("rk3588s") == 3);
  CHECK(npu_cores("rk3576") == 2);
  CHECK(npu_cores("rk3566") == 1);
  CHECK(npu_cores("bcm2712") == 0);
  CHECK(same_npu("rk3588", "rk3588s"));
  CHECK(same_npu("RK3566", "rk3568"));
  CHECK_FALSE(same_npu("rk3562", "rk3568"));
  CHECK_FALSE(same_npu("rk3588", "rk3576"));
}

TEST_CASE("floats become half floats and int8 as IEEE and the model's scale say") {
  const std::vector<std::pair<float, int>> halves = {{0.0F, 0},
                                                     {-0.0F, 0x8000},
                                                     {1.0F, 0x3c00},
                                                     {-2.5F, 0xc100},
                                                     {65504.0F, 0x7bff},
                                                     {65519.0F, 0x7bff},
                                                     {65520.0F, 0x7c00},
                                                     {1e9F, 0x7c00},
                                                     {0x1p-14F, 0x0400},
                                                     {0x1p-24F, 1},
                                                     {0x1p-25F, 0},
                                                     {0x1.8p-24F, 2},
                                                     {1.00048828125F, 0x3c00},
                                                     {1.00146484375F, 0x3c02}};
  for (const auto& [value, half] : halves) {
    CAPTURE(value);
    CHECK(to_half(value) == half);
  }
  CHECK((to_half(std::numeric_limits<float>::quiet_NaN()) & 0x7fff) > 0x7c00);
  CHECK(to_int8(1.0F, 0.5F, 3) == 5);
  CHECK(to_int8(1e9F, 0.5F, 3) == 127);
  CHECK(to_int8(-1e9F, 0.5F, 3) == -128);
  CHECK(to_int8(std::numeric_limits<float>::quiet_NaN(), 0.5F, 3) == -128);
}

TEST_CASE("images are written with channels last and the gaps after rows, and come back") {
  rknn::Attributes attributes = image(2, 2, 3);
  CHECK(onnx_dims(attributes) == std::vector<std::int64_t>{1, 3, 2, 2});
  std::string data(12 * sizeof(float), '\0');
  for (int i = 0; i < 12; ++i) {
    const float value = static_cast<float>(i);
    std::memcpy(&data[static_cast<std::size_t>(i) * sizeof value], &value, sizeof value);
  }
  const std::vector<float> moved = in_order(data, attributes);
  CHECK(moved == std::vector<float>{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11});
  std::string back(data.size(), '\0');
  std::memcpy(back.data(), moved.data(), back.size());
  CHECK(in_onnx_order(back, attributes) == data);
  attributes.width_stride = 4;
  CHECK_FALSE(can_write(attributes));
  attributes.bytes_with_stride = 24;
  CHECK(can_write(attributes));
  std::vector<std::int8_t> place(24, 99);
  write_elements(moved, attributes, place.data());
  CHECK(place == std::vector<std::int8_t>{1, 9,  17, 3, 11, 19, 99, 99, 99, 99, 99, 99,
                                          5, 13, 21, 7, 15, 23, 99, 99, 99, 99, 99, 99});
}

TEST_CASE("tables of layers of both layouts are read, and lines that are none passed over") {
  const std::string head = "ID   OpType  DataType Target InputShape  OutputShape ";
  const std::string newer =
      head +
      "Cycles(DDR/NPU/Total)  Time(us)  MacUsage(%)  WorkLoad(0/1/2)  RW(KB)  FullName\n"
      "1    InputOperator      FLOAT16  CPU    \\      (1,3,8,8)   0/0/0    8      0.0%/0.0%/0.0% "
      "  24    InputOperator:image\n"
      "2    ConvRelu           INT8     NPU    (1,3,8,8),(16,3,3,3),(16)   (1,16,8,8)  "
      "100/200/200   304   99.00/0.00/0.00   100.0%/0.0%/0.0%   2048   Conv:/first/Conv\n"
      "3    Pad                FLOAT16  CPU    (1,16,8,8),(8)   (1,16,10,10)  0/0/0   2831.5     "
      "0.0%/0.0%/0.0%   2048   Pad:/second/Pad\n"
      "Total Operator Elapsed Per Frame Time(us): 3143\n";
  const std::vector<LayerRun> layers = read_layer_table(newer);
  REQUIRE(layers.size() == 3);
  CHECK(layers[0].unit.empty());
  CHECK_FALSE(layers[0].fell_back);
  CHECK_FALSE(layers[0].computes);
  CHECK(layers[1].name == "/first/Conv");
  CHECK(layers[1].type == "ConvRelu");
  CHECK(layers[1].precision == "int8");
  CHECK(layers[1].dims == std::vector<std::int64_t>{1, 16, 8, 8});
  CHECK(layers[1].ns == 304000);
  CHECK(layers[1].unit == "NPU");
  CHECK(layers[2].name == "/second/Pad");
  CHECK(layers[2].ns == 2831500);
  CHECK(layers[2].fell_back);
  const std::string older =
      head +
      "DDR Cycles     NPU Cycles     Total Cycles   Time(us)  MacUsage(%)  RW(KB)  FullName\n"
      "7    Conv   FLOAT16  NPU  (1,3,8,8),(16,3,3,3)  (1,16,8,8)  10  20  30  41  5.5  12  "
      "Conv:/first/Conv\n";
  const std::vector<LayerRun> old = read_layer_table(older);
  REQUIRE(old.size() == 1);
  CHECK(old[0].index == 7);
  CHECK(old[0].ns == 41000);
  CHECK(read_layer_table("").empty());
  CHECK(read_layer_table("1 2 3 4 5 6 7 8 9 10 11\n1 a b c d e x/y nan z\n\n").size() <= 1);
}
