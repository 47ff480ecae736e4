// Runs a model for the host on this computer and shows any of its blobs.
//
// `dx-worker-ncnn --blobs` speaks on standard input and output as ncnn's wheel does in
// runtimes/ncnn/wheel_process.py, which draws the conversation; it runs the models that have layers
// of our own (operator.h), which the wheel lacks. Half floats are not measured in it.
#pragma once

namespace dx {

// Until nobody asks any more; the program's exit code.
int serve_blobs();

}  // namespace dx
