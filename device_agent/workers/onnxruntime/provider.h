// What computes a session's nodes in the processor's place.
#pragma once

#include <onnxruntime_c_api.h>

#include <string>
#include <vector>

#include "common/messages.h"
#include "common/result.h"
#include "workers/core/runtime.h"
#include "workers/onnxruntime/library.h"

namespace dx {

class Provider {
 public:
  virtual ~Provider() = default;

  // Of the runtime, for people.
  virtual std::string title() const = 0;
  // Of the libraries that it comes in.
  virtual std::string version() const = 0;

  // Fails where it lacks a file, or is asked for what it has not.
  virtual Status check(const Load& request) const = 0;

  // Has a session that is made with these options compute by it. With `strict` a model of which any
  // node would be left to the processor is refused; otherwise the session tells where its nodes
  // are. With a path `counts_at` it writes there what its nodes take, for add_parts().
  virtual Status add_to(const Library& library, const Load& request, bool strict,
                        const std::string& counts_at, OrtSessionOptions* options) const = 0;

  // Puts behind each layer of its own, in all the runs that such a session had, the nodes that this
  // is made of, with what they took. Does nothing where the file does not tell that of these runs,
  // and removes the file.
  virtual void add_parts(const std::string& counts_at,
                         std::vector<std::vector<LayerRun>>& runs) const = 0;

  // Whether nodes may be left to the processor.
  virtual bool may_leave(const RunOptions& options) const = 0;

  // Has the session that is made with these options write what it made of the model to `path`.
  virtual Status keep(const Library& library, const std::string& path,
                      OrtSessionOptions* options) const = 0;
  // Notes in the file of request.prepared_path what it is for. Fails where nothing was written.
  virtual Status seal(const Load& request) const = 0;
  // Fails where that file is for something else than the model, with both named.
  virtual Status fits(const Load& request) const = 0;
  // The file that was prepared elsewhere and comes along with the model, "" where there is none, or
  // where other options are asked for than it was prepared with.
  virtual std::string prepared_elsewhere(const Load& request) const = 0;

  // Fails where an error that the library logged says that nothing at all computes by it, which
  // would look as if it left all nodes.
  virtual Status started(const std::string& error) const = 0;

  // What to do where nodes would be left.
  virtual std::string way_out() const = 0;

  // What it computes on, for people.
  virtual std::string unit() const = 0;

  // The name that the session's nodes carry.
  virtual std::string name() const = 0;
};

}  // namespace dx
