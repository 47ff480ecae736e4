// The messages between agent and worker. Both come from one build: a difference is not negotiated.
//
// The conversation, from the worker's side:
//   start    -> Hello, at once and unasked
//   Load     -> PhaseChange(load), then Loaded or FailureReply. Once a process. Where it asks to
//               prepare, PhaseChange(prepare) and Progress as it comes go before.
//   Run      -> Outputs or FailureReply, in the order of the requests. Before the process's first
//               run PhaseChange(first run), before its second PhaseChange(run). One with FeedBack
//               is a step: it takes the inputs that it does not name from the step before it.
//   Bench    -> PhaseChange and Samples as they come, then BenchDone or FailureReply
//   Profile  -> PhaseChange as they come, LayerTimes one a layer, then ProfileDone or FailureReply
//   Cancel   -> nothing of its own: every Run, Bench and Profile sent before it that has not
//               finished ends with FailureReply(cancelled), between two runs
//   Quit     -> the process ends with exit code 0; so it does where the socket closes
// Every request but Cancel and Quit has exactly one last answer. A request that fails leaves the
// worker serving. Between two messages of a Bench or a Profile lie at most about 100 ms and one
// run: a PhaseChange that names the same phase again is a sign of life.
//
// Tensors are dense, little-endian, slowest axis first. Durations are nanoseconds. Of a layer, what
// a runtime does not tell is 0 or "".
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/wire.h"

namespace dx {

enum class MessageKind : std::uint16_t {
  kLoad = 1,
  kRun = 2,
  kBench = 3,
  kProfile = 4,
  kCancel = 5,
  kQuit = 6,
  kHello = 101,
  kPhaseChange = 102,
  kLoaded = 103,
  kOutputs = 104,
  kSamples = 105,
  kBenchDone = 106,
  kLayerTimes = 107,
  kProfileDone = 108,
  kFailure = 109,
  kProgress = 110,
};

// The numbers are those of CoreSelection in agent.proto.
enum class CoreSelection : std::uint16_t { kAll = 0, kLittle = 1, kBig = 2 };
inline CoreSelection last_of(CoreSelection) { return CoreSelection::kBig; }

// What every runtime knows, and each one's own options by name, in the words of its worker.json.
struct RunOptions {
  std::uint32_t threads = 0;  // 0: as many as physical cores of the selected ones are free
  CoreSelection cores = CoreSelection::kAll;
  std::string accelerator = "cpu";
  std::string precision;  // "": the runtime's own
  std::map<std::string, std::string> named;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field(self.threads);
    field(self.cores);
    field(self.accelerator);
    field(self.precision);
    field(self.named);
  }
};

struct Tensor {
  std::string name;
  std::string dtype = "float32";   // numpy's name, see common/tensors.h
  std::vector<std::int64_t> dims;  // none: a single value
  std::string data;
  bool batched = false;  // dims[0] counts independent samples

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field(self.name);
    field(self.dtype);
    field(self.dims);
    field(self.data);
    field(self.batched);
  }
};

struct TensorInfo {
  std::string name;
  std::string dtype = "float32";
  std::optional<std::vector<std::int64_t>> dims;  // -1: open; absent where the file does not say

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field(self.name);
    field(self.dtype);
    field(self.dims);
  }
};

// An output of one step that is an input of the next, and does not leave the worker in between.
struct FeedBack {
  std::string output;
  std::string input;
  bool grows = false;    // the input's dims follow the output's: one of its axes is open
  bool omitted = false;  // it is not among the step's Outputs

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field(self.output);
    field(self.input);
    field(self.grows);
    field(self.omitted);
  }
};

struct ModelFile {
  std::string role;  // what the runtime calls it, e.g. "param"; "library"
  std::string path;
  std::string name = {};  // of a library: the last part of its path

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field(self.role);
    field(self.path);
    field(self.name);
  }
};

// ---- agent -> worker

struct Load {
  static constexpr MessageKind kKind = MessageKind::kLoad;
  std::vector<ModelFile> files;
  RunOptions options;
  std::vector<std::string> outputs;  // blobs to return; empty: the model's outputs
  // Of a runtime that prepares: where the file that it makes of the model on this board lies, or is
  // to be made first where `prepare` says so. "": it computes without.
  std::string prepared_path = {};
  bool prepare = false;
  // Where a preparation may keep what makes later ones shorter; nobody misses it. "": nowhere.
  std::string kept_folder = {};

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field(self.files);
    field(self.options);
    field(self.outputs);
    field(self.prepared_path);
    field(self.prepare);
    field(self.kept_folder);
  }
};

struct Run {
  static constexpr MessageKind kKind = MessageKind::kRun;
  std::uint64_t sequence = 0;
  std::vector<Tensor> inputs;            // all of them; of a step those that change
  std::vector<FeedBack> feed_back = {};  // of a step

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field(self.sequence);
    field(self.inputs);
    field(self.feed_back);
  }
};

struct Bench {
  static constexpr MessageKind kKind = MessageKind::kBench;
  std::vector<Tensor> inputs;
  std::uint32_t warmup = 0;
  std::uint32_t iterations = 0;  // of `iterations` and `seconds` the one that is not 0
  double seconds = 0;
  std::int64_t pause_ns = 0;             // between runs, not timed
  std::vector<FeedBack> feed_back = {};  // each run takes what the one before it gave

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field(self.inputs);
    field(self.warmup);
    field(self.iterations);
    field(self.seconds);
    field(self.pause_ns);
    field(self.feed_back);
  }
};

struct Profile {
  static constexpr MessageKind kKind = MessageKind::kProfile;
  std::vector<Tensor> inputs;
  std::uint32_t warmup = 0;
  std::uint32_t iterations = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field(self.inputs);
    field(self.warmup);
    field(self.iterations);
  }
};

struct Cancel {
  static constexpr MessageKind kKind = MessageKind::kCancel;
  template <class Self, class Visitor>
  static void visit(Self&, Visitor&) {}
};

struct Quit {
  static constexpr MessageKind kKind = MessageKind::kQuit;
  template <class Self, class Visitor>
  static void visit(Self&, Visitor&) {}
};

// ---- worker -> agent

// One of a runtime's own options, as its worker.json tells it.
struct OptionInfo {
  std::string name;
  std::string kind;          // "switch" (on or off), "number" (a whole one), "choice" or "text"
  std::string values = {};   // of a choice, with | between them
  std::int64_t minimum = 0;  // of a number
  std::int64_t maximum = 0;
  std::string usual = {};  // what holds where nobody says; "": the runtime's own
  std::string help = {};
  bool only_runs = false;  // what is prepared of a model is the same with any value

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field(self.name);
    field(self.kind);
    field(self.values);
    field(self.minimum);
    field(self.maximum);
    field(self.usual);
    field(self.help);
    field(self.only_runs);
  }
};

struct Hello {
  static constexpr MessageKind kKind = MessageKind::kHello;
  std::string runtime;  // "ncnn"
  std::string runtime_version;
  std::vector<std::string> features;  // e.g. "vulkan"
  std::vector<OptionInfo> options;
  bool prepares = false;  // makes a file of its own of a model, on the board

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field(self.runtime);
    field(self.runtime_version);
    field(self.features);
    field(self.options);
    field(self.prepares);
  }
};

struct PhaseChange {
  static constexpr MessageKind kKind = MessageKind::kPhaseChange;
  Phase phase = Phase::kUnspecified;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field(self.phase);
  }
};

// How far the preparation is: a sign of life as well.
struct Progress {
  static constexpr MessageKind kKind = MessageKind::kProgress;
  double fraction = -1;  // 0 to 1; below 0: not told
  std::string text;      // what is being done, for a person; may be empty

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field(self.fraction);
    field(self.text);
  }
};

struct Loaded {
  static constexpr MessageKind kKind = MessageKind::kLoaded;
  std::int64_t load_ns = 0;
  std::vector<TensorInfo> inputs;
  std::vector<TensorInfo> outputs;
  std::uint32_t threads = 0;
  std::string runtime_version;          // of the library that was loaded; "": that of Hello
  std::uint64_t accelerator_bytes = 0;  // of an accelerator's memory; 0: not told

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field(self.load_ns);
    field(self.inputs);
    field(self.outputs);
    field(self.threads);
    field(self.runtime_version);
    field(self.accelerator_bytes);
  }
};

struct Outputs {
  static constexpr MessageKind kKind = MessageKind::kOutputs;
  std::uint64_t sequence = 0;
  std::vector<Tensor> outputs;
  std::int64_t compute_ns = 0;  // around the runtime's own calls
  std::int64_t worker_ns = 0;   // from request taken up to reply encoded

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field(self.sequence);
    field(self.outputs);
    field(self.compute_ns);
    field(self.worker_ns);
  }
};

struct Samples {
  static constexpr MessageKind kKind = MessageKind::kSamples;
  std::vector<std::int64_t> ns;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field(self.ns);
  }
};

// How many of the model's layers produced this kind of element.
struct PrecisionCount {
  std::string precision;  // "fp32", "fp16", "bf16", "int8"
  std::uint32_t layers = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field(self.precision);
    field(self.layers);
  }
};

// How many of the model's layers ran on this unit of the board.
struct UnitCount {
  std::string unit;  // "CPU", "GPU", "DLA"
  std::uint32_t layers = 0;
  std::uint32_t fell_back = 0;  // of them, those that an accelerator left to it

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field(self.unit);
    field(self.layers);
    field(self.fell_back);
  }
};

// Runs beside each other, from the start of the first to the end of the last, copies and all.
struct Throughput {
  std::uint32_t streams = 0;  // runs at a time; 0: none were made
  std::uint64_t runs = 0;
  std::int64_t ns = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field(self.streams);
    field(self.runs);
    field(self.ns);
  }
};

struct BenchDone {
  static constexpr MessageKind kKind = MessageKind::kBenchDone;
  std::int64_t first_run_ns = 0;
  std::vector<PrecisionCount> precisions;  // empty: not told
  std::uint64_t runs = 0;                  // timed ones, without the first and the warm-up
  // Meanwhile: what all threads waited for a processor, and what control groups were held back.
  std::optional<std::int64_t> waited_ns;
  std::optional<std::int64_t> throttled_ns;
  // Layers that an accelerator left to another unit, by name.
  std::vector<std::string> fell_back = {};
  std::vector<UnitCount> units = {};  // empty: not told
  Throughput throughput = {};         // where the model was loaded for several streams

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field(self.first_run_ns);
    field(self.precisions);
    field(self.runs);
    field(self.waited_ns);
    field(self.throttled_ns);
    field(self.fell_back);
    field(self.units);
    field(self.throughput);
  }
};

struct LayerTimes {
  static constexpr MessageKind kKind = MessageKind::kLayerTimes;
  std::uint32_t index = 0;
  std::string name;
  std::string type;
  std::vector<std::int64_t> dims;  // of the layer's first output
  std::uint32_t element_bits = 0;  // of one scalar of it, as it really ran
  std::uint32_t packing = 0;       // scalars per element
  std::string precision;
  std::vector<std::int64_t> ns;  // one per iteration
  std::string unit = {};         // what computed it, of a runtime that has several
  // In place of `ns`, of a part of a layer whose unit counts cycles and tells no times.
  std::vector<std::int64_t> cycles = {};
  bool fell_back = false;  // an accelerator was asked to compute it, and left it to `unit`

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field(self.index);
    field(self.name);
    field(self.type);
    field(self.dims);
    field(self.element_bits);
    field(self.packing);
    field(self.precision);
    field(self.ns);
    field(self.unit);
    field(self.cycles);
    field(self.fell_back);
  }
};

struct ProfileDone {
  static constexpr MessageKind kKind = MessageKind::kProfileDone;
  std::vector<std::int64_t> whole_ns;  // undivided runs, one per iteration

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field(self.whole_ns);
  }
};

struct FailureReply {
  static constexpr MessageKind kKind = MessageKind::kFailure;
  FailureCode code = FailureCode::kUnspecified;
  std::string message;
  Phase phase = Phase::kUnspecified;
  std::uint64_t sequence = 0;  // of the Run that failed; 0 for the other requests

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field(self.code);
    field(self.message);
    field(self.phase);
    field(self.sequence);
  }
};

// The frame of a message, ready for write_all. Fails where it is too long.
template <class T>
Result<std::string> encode(const T& message) {
  Writer writer(static_cast<std::uint16_t>(T::kKind));
  T::visit(message, writer);
  return std::move(writer).finish();
}

// The message of a frame. Fails where the frame is of another kind or does not hold one exactly.
template <class T>
Result<T> decode(const Frame& frame) {
  if (frame.kind != static_cast<std::uint16_t>(T::kKind)) {
    return Failure{FailureCode::kInternal,
                   "expected a message of kind " +
                       std::to_string(static_cast<std::uint16_t>(T::kKind)) + ", got kind " +
                       std::to_string(frame.kind),
                   {}};
  }
  T message;
  Reader reader(frame.body);
  T::visit(message, reader);
  if (Status status = reader.finish(); !status) return status.failure();
  return message;
}

// Encodes and writes one message.
template <class T>
Status send_message(int socket, const T& message) {
  Result<std::string> frame = encode(message);
  if (!frame) return frame.failure();
  return write_all(socket, frame.value());
}

}  // namespace dx
