// The parts of TensorRT's worker that ask no library.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/worker/loaded.h"
#include "workers/tensorrt/elements.h"
#include "workers/tensorrt/engine_file.h"
#include "workers/tensorrt/layers.h"
#include "workers/tensorrt/library.h"
#include "workers/tensorrt/profiles.h"
#include "workers/tensorrt/weak_types.h"

using namespace dx;
using namespace dx::test;

namespace {

using Sizes = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("versions are read as TensorRT counts them, before version 10 and after") {
  CHECK(version_text(8503) == "8.5.3");
  CHECK(version_text(8601) == "8.6.1");
  CHECK(version_text(100300) == "10.3.0");
  CHECK(version_text(101302) == "10.13.2");
}

TEST_CASE("the sizes of open axes are read, and what does not say them is refused whole") {
  const auto read = read_profiles("1x3x32x32 1x3x64x64 1x3x96x96 the images\n1 2 3 n");
  REQUIRE(read);
  REQUIRE(read.value().size() == 2);
  CHECK(read.value()[0].name == "the images");
  CHECK(read.value()[0].minimum == Sizes{1, 3, 32, 32});
  CHECK(read.value()[0].opt == Sizes{1, 3, 64, 64});
  CHECK(read.value()[0].maximum == Sizes{1, 3, 96, 96});
  CHECK(read.value()[1].maximum == Sizes{3});
  CHECK(read_profiles("").value().empty());
  for (const std::string wrong :
       {"1x3 1x3 x", "1x3 1x3 1x3", "1x3 1x3 1x3 ", "1x3 1 1x3 x", "0 1 1 x", "-1 1 1 x", "a 1 1 x",
        "99999999999999999999 1 1 x", "1x1x1x1x1x1x1x1x1 1 1 x", "1x 1x 1xx x", "\n"}) {
    CAPTURE(wrong);
    CHECK(fails(read_profiles(wrong), FailureCode::kRuntimeRefused,
                {"sizes of open axes cannot be read", "convert it again"}));
  }
}

TEST_CASE("an engine is read where it belongs, and nowhere else") {
  const TemporaryFolder folder;
  const std::string path = folder.write("engine", "");
  const EngineOrigin here{"10.3.0", "sm_87"};
  const std::string engine("the engine\nwith \0 in it", 23);
  REQUIRE(write_engine(path, here, engine));
  std::ifstream file(path, std::ios::binary);
  const std::string content((std::istreambuf_iterator<char>(file)), {});
  CHECK(read_engine(content, here).value() == engine);
  CHECK(fails(read_engine(content, {"8.5.2", "sm_87"}), FailureCode::kRuntimeRefused,
              {"of TensorRT 10.3.0 sm_87", "here are TensorRT 8.5.2, sm_87"}));
  CHECK(fails(read_engine(content, {"10.3.0", "sm_72"}), FailureCode::kRuntimeRefused,
              {"sm_87", "sm_72"}));
  CHECK(fails(read_engine(content.substr(0, content.size() - 1), here),
              FailureCode::kRuntimeRefused, {"23 bytes", "22 bytes"}));
  for (const std::string& none : {std::string(), std::string("engine"), std::string(500, 'x')}) {
    CHECK(fails(read_engine(none, here), FailureCode::kRuntimeRefused, {"not an engine"}));
  }
  CHECK(fails(write_engine(path + "/x", here, engine), FailureCode::kRuntimeRefused,
              {"cannot be written"}));
}

TEST_CASE("an engine that finds no room on the disk leaves no file") {
  const TemporaryFolder folder;
  const std::string path = folder.write("engine", "");
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const rlimit small{1000, before.rlim_max};
  const auto ignored = ::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const Status written = write_engine(path, {"10.3.0", "sm_87"}, std::string(100000, 'x'));
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  (void)::signal(SIGXFSZ, ignored);
  CHECK(fails(written, FailureCode::kRuntimeRefused, {"cannot be written", "File too large"}));
  CHECK(::access(path.c_str(), F_OK) != 0);
}

TEST_CASE("what the inspector tells of a layer") {
  const LayerRun layer = described_layer(
      R"({"Name": "conv + relu", "LayerType": "CaskConvolution", "Outputs":
          [{"Name": "y", "Dimensions": [1, 16, 8, 8],
            "Format/Datatype": "Channel major FP16 format where channel % 2 == 0"}]})",
      false);
  CHECK(layer.name == "conv + relu");
  CHECK(layer.type == "CaskConvolution");
  CHECK(layer.dims == Sizes{1, 16, 8, 8});
  CHECK(layer.precision == "fp16");
  CHECK(layer.element_bits == 16);
  CHECK(layer.computes);
  CHECK_FALSE(described_layer(R"({"Name": "r", "LayerType": "Reformat"})", false).computes == true);
  CHECK(described_layer("only a name", false).name == "only a name");
  CHECK(described_layer(R"({"Name": 3, "Outputs": [{"Dimensions": ["a"]}]})", false).dims.empty());
  CHECK(described_layer("[]", false).name == "[]");
}

TEST_CASE("which unit computes a layer, and that another one was asked to") {
  const auto told = [](const std::string& name, const std::string& type, bool wants_dla) {
    return described_layer("{\"Name\": \"" + name + "\", \"LayerType\": \"" + type +
                               R"(", "Outputs": [{"Dimensions": [1], "Datatype": "Half"}]})",
                           wants_dla);
  };
  CHECK(told("conv", "CaskConvolution", false).unit == "GPU");
  CHECK_FALSE(told("conv", "CaskConvolution", false).fell_back);
  CHECK(told("{ForeignNode[a...b]}", "DLA", true).unit == "DLA");
  CHECK_FALSE(told("{ForeignNode[a...b]}", "DLA", true).fell_back);
  CHECK(told("{a,b}", "", true).unit == "DLA");
  // The GPU's compiler calls what it joins by such names, too.
  CHECK(told("{ForeignNode[a...b]}", "Myelin", true).unit == "GPU");
  CHECK(told("{ForeignNode[a...b]}", "Myelin", true).fell_back);
  CHECK(told("fc", "MatrixMultiply", true).fell_back);
  // What only brings data into another form is the GPU's to do.
  CHECK_FALSE(told("r", "Reformat", true).fell_back);
}

TEST_CASE("ranges get the head of the TensorRT that is there, and what holds none is refused") {
  for (const std::string wrong :
       {"", "head", "head\n", "head\nx 3c010a14\n", "head\nx: 3c010a1\n", "head\nx: 3c010a1g\n",
        "head\n: 3c010a14\n", "head\nx: 3c010a14", "head\nx: 3c010a14\n\n"}) {
    CAPTURE(wrong);
    CHECK(fails(KnownRanges::read(wrong, 8503), FailureCode::kRuntimeRefused,
                {"ranges", "cannot be read", "quantize it again"}));
  }
  CHECK(KnownRanges::read("head\na: b: 3c010a14\n", 8503));
}

TEST_CASE("what a layer computes in is in the words of its format") {
  CHECK(precision_of_format("Row major linear FP32") == "fp32");
  CHECK(precision_of_format("Four wide channel vectorized row major Int8 format") == "int8");
  CHECK(precision_of_format("Half") == "fp16");
  CHECK(precision_of_format("BFloat16") == "bf16");
  CHECK(precision_of_format("Float") == "fp32");
  CHECK(precision_of_format("Row major Int32").empty());
  CHECK(precision_of_format("").empty());
}

TEST_CASE("times go to the layers that they are of, by name") {
  LayerRun known;
  known.name = "conv";
  known.precision = "fp16";
  const std::vector<LayerRun> layers = layers_of({known}, {{"conv", 0.5F}, {"new", 0.25F}});
  REQUIRE(layers.size() == 2);
  CHECK(layers[0].precision == "fp16");
  CHECK(layers[0].ns == 500000);
  CHECK(layers[1].name == "new");
  CHECK(layers[1].index == 1);
  CHECK(layers[1].precision.empty());
}
