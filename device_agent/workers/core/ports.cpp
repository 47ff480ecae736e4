#include "workers/core/ports.h"

#include <algorithm>
#include <utility>

#include "common/text.h"

namespace dx {
namespace {

using Dims = std::vector<std::int64_t>;

Failure refuse(const std::string& message) {
  return {FailureCode::kRuntimeRefused, message, Phase::kUnspecified};
}

// What the model declares, for a person: open axes are '?'.
std::string declared_text(const Dims& dims) {
  if (dims.empty()) return "a single value";
  std::string text;
  for (const std::int64_t dim : dims) {
    text += (text.empty() ? "" : "x") + (dim < 0 ? std::string("?") : std::to_string(dim));
  }
  return text;
}

std::vector<std::string> names_of(const std::vector<Port>& ports) {
  std::vector<std::string> names;
  for (const Port& port : ports) names.push_back(port.name);
  return names;
}

Status count_samples(const std::vector<Tensor>& inputs, Fed& fed) {
  fed.batched = !inputs.empty() && inputs.front().batched;
  const auto count_of = [](const Tensor& tensor) {
    return tensor.dims.empty() ? std::int64_t{0} : tensor.dims.front();
  };
  for (const Tensor& tensor : inputs) {
    const bool alike =
        tensor.batched == fed.batched &&
        (!fed.batched || (count_of(tensor) == count_of(inputs.front()) && count_of(tensor) > 0));
    if (!alike) return refuse("all inputs must hold the same number of samples, at least one");
  }
  fed.samples = fed.batched ? static_cast<std::size_t>(count_of(inputs.front())) : 1;
  return {};
}

Status check(const Tensor& tensor, const Port& port) {
  const std::string what = "input '" + printable(port.name, 80) + "': ";
  if (tensor.dtype != port.dtype) {
    return refuse(what + "the model takes " + port.dtype + ", got " + printable(tensor.dtype, 40));
  }
  const Dims dims = sample_dims(tensor);
  bool fits = dims.size() == port.dims.size();
  for (std::size_t i = 0; fits && i < dims.size(); ++i) {
    fits = port.dims[i] < 0 || port.dims[i] == dims[i];
  }
  if (fits) return {};
  return refuse(what + "the model takes " + declared_text(port.dims) + ", got " +
                declared_text(dims));
}

}  // namespace

bool Port::is_fixed() const {
  return std::all_of(dims.begin(), dims.end(), [](std::int64_t dim) { return dim >= 0; });
}

std::vector<TensorInfo> infos_of(const std::vector<Port>& ports) {
  std::vector<TensorInfo> infos;
  for (const Port& port : ports) infos.push_back({port.name, port.dtype, port.dims});
  return infos;
}

Status choose_ports(std::vector<Port>& ports, const std::vector<std::string>& names) {
  if (names.empty()) return {};
  std::vector<Port> chosen;
  for (const std::string& name : names) {
    const auto found = std::find_if(ports.begin(), ports.end(),
                                    [&name](const Port& port) { return port.name == name; });
    if (found == ports.end()) {
      return Failure{FailureCode::kRuntimeRefused,
                     "the model has no output '" + printable(name, 80) + "'; it has " +
                         list_text(names_of(ports)),
                     Phase::kLoad};
    }
    chosen.push_back(*found);
  }
  ports = std::move(chosen);
  return {};
}

Result<Fed> fit_inputs(const std::vector<Port>& ports, const std::vector<Tensor>& inputs) {
  if (inputs.size() != ports.size()) {
    return refuse("the model takes " + std::to_string(ports.size()) + " inputs (" +
                  list_text(names_of(ports)) + "), got " + std::to_string(inputs.size()));
  }
  Fed fed;
  if (Status status = count_samples(inputs, fed); !status) return status.failure();
  for (const Port& port : ports) {
    const auto found = std::find_if(inputs.begin(), inputs.end(),
                                    [&port](const Tensor& one) { return one.name == port.name; });
    if (found == inputs.end()) {
      return refuse("input '" + printable(port.name, 80) + "' is missing");
    }
    if (Status status = check(*found, port); !status) return status.failure();
    fed.tensors.push_back(&*found);
  }
  return fed;
}

std::vector<std::int64_t> sample_dims(const Tensor& tensor) {
  return {tensor.dims.begin() + (tensor.batched ? 1 : 0), tensor.dims.end()};
}

Status Gathered::add(std::vector<Tensor> sample) {
  for (Tensor& one : sample) {
    if (!batched_) continue;
    one.dims.insert(one.dims.begin(), 1);
    one.batched = true;
  }
  const std::size_t number = samples_++;
  if (number == 0) {
    all_ = std::move(sample);
    return {};
  }
  for (std::size_t i = 0; i < all_.size(); ++i) {
    Tensor& whole = all_[i];
    const Tensor& one = sample[i];
    if (!std::equal(whole.dims.begin() + 1, whole.dims.end(), one.dims.begin() + 1,
                    one.dims.end())) {
      return refuse("output '" + printable(one.name, 80) + "' has another shape in sample " +
                    std::to_string(number) + ": run the samples one by one");
    }
    ++whole.dims.front();
    whole.data += one.data;
  }
  return {};
}

}  // namespace dx
