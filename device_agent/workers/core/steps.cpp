#include "workers/core/steps.h"

#include <algorithm>
#include <utility>

#include "common/text.h"

namespace dx {
namespace {

constexpr std::size_t kNameBytes = 80;

Failure refuse(const std::string& message) { return {FailureCode::kInvalidRequest, message, {}}; }

template <class Tensors>
auto find(Tensors& tensors, const std::string& name) {
  return std::find_if(tensors.begin(), tensors.end(),
                      [&name](const Tensor& tensor) { return tensor.name == name; });
}

std::string names_text(const std::vector<Tensor>& tensors) {
  std::vector<std::string> names;
  for (const Tensor& tensor : tensors) names.push_back(printable(tensor.name, kNameBytes));
  return names.empty() ? "none" : list_text(names);
}

std::string tensor_text(const Tensor& tensor) {
  return "'" + printable(tensor.name, kNameBytes) + "' (" + printable(tensor.dtype, kNameBytes) +
         " " + dims_text(tensor.dims) + ")";
}

}  // namespace

Status Steps::begin(std::vector<Tensor> given, const std::vector<FeedBack>& feeds) {
  for (Tensor& tensor : given) {
    const auto known = find(inputs_, tensor.name);
    if (known == inputs_.end()) {
      inputs_.push_back(std::move(tensor));
    } else {
      *known = std::move(tensor);
    }
  }
  Status status = check(feeds);
  if (!status) forget();
  return status;
}

Status Steps::check(const std::vector<FeedBack>& feeds) const {
  for (std::size_t i = 0; i < feeds.size(); ++i) {
    const std::string& input = feeds[i].input;
    if (find(inputs_, input) == inputs_.end()) {
      return refuse("expected the input '" + printable(input, kNameBytes) +
                    "', which is fed back, among those of the first step, got " +
                    names_text(inputs_));
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (feeds[j].input != input) continue;
      return refuse("the input '" + printable(input, kNameBytes) +
                    "' can be fed from one output only, got '" +
                    printable(feeds[j].output, kNameBytes) + "' and '" +
                    printable(feeds[i].output, kNameBytes) + "'");
    }
  }
  return {};
}

Status Steps::end(std::vector<Tensor>& outputs, const std::vector<FeedBack>& feeds) {
  for (const FeedBack& each : feeds) {
    const auto output = find(outputs, each.output);
    Status status = output != outputs.end()
                        ? feed(*output, each)
                        : refuse("expected the output '" + printable(each.output, kNameBytes) +
                                 "', which is fed back, got " + names_text(outputs));
    if (status) continue;
    forget();
    return status;
  }
  const auto omitted = [&feeds](const Tensor& tensor) {
    return std::any_of(feeds.begin(), feeds.end(), [&tensor](const FeedBack& each) {
      return each.omitted && each.output == tensor.name;
    });
  };
  outputs.erase(std::remove_if(outputs.begin(), outputs.end(), omitted), outputs.end());
  return {};
}

Status Steps::feed(const Tensor& output, const FeedBack& feed) {
  const auto input = find(inputs_, feed.input);
  const bool same_size = output.data.size() == input->data.size();
  if (output.dtype != input->dtype || !(same_size || feed.grows)) {
    return refuse("the output " + tensor_text(output) + " does not fit the input " +
                  tensor_text(*input) + " that it is fed back to");
  }
  // A runtime may count the same elements in other dims as an output than as an input.
  if (feed.grows) {
    input->dims = output.dims;
    input->batched = output.batched;
  }
  input->data = output.data;
  return {};
}

}  // namespace dx
