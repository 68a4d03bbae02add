// Acts with an exported policy. Each line of standard input is a state: the numbers of observation,
// achieved_goal and desired_goal, in this order. Each line of standard output is its action.
// cpp.md beside this file says how to build and run it.

#include <onnxruntime_cxx_api.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

int main(int argc, char** argv) try {
    if (argc != 2) {
        std::cerr << "usage: " << argv[0] << " FILE.onnx, with states on standard input\n";
        return 2;
    }
    Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "policy");
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(1);  // one state is too little work to share
    Ort::Session session(env, argv[1], options);
    Ort::MemoryInfo memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);

    const char* const inputs[] = {"observation", "achieved_goal", "desired_goal"};
    const char* const output = "action";
    std::int64_t lengths[3];
    for (int i = 0; i < 3; ++i)  // each shape is [batch, length]
        lengths[i] = session.GetInputTypeInfo(i).GetTensorTypeAndShapeInfo().GetShape().at(1);

    std::cout.precision(9);  // tells every float32 from the next
    std::vector<double> state(lengths[0] + lengths[1] + lengths[2]);
    std::string line;
    for (int row = 1; std::getline(std::cin, line); ++row) {
        std::istringstream text(line);
        for (double& number : state) text >> number;
        if (text.fail() || !(text >> std::ws).eof()) {
            std::cerr << "line " << row << " must hold " << state.size() << " numbers: "
                      << lengths[0] << ", " << lengths[1] << " and " << lengths[2] << '\n';
            return 2;
        }
        std::vector<Ort::Value> values;  // they refer to the numbers in state
        double* first = state.data();
        for (const std::int64_t length : lengths) {
            const std::int64_t shape[] = {1, length};
            values.push_back(Ort::Value::CreateTensor<double>(memory, first, length, shape, 2));
            first += length;
        }
        auto results = session.Run(Ort::RunOptions{nullptr}, inputs, values.data(), 3, &output, 1);
        const float* action = results[0].GetTensorMutableData<float>();
        const std::size_t size = results[0].GetTensorTypeAndShapeInfo().GetElementCount();
        for (std::size_t i = 0; i < size; ++i) std::cout << (i > 0 ? " " : "") << action[i];
        std::cout << std::endl;  // at once: a robot waits for it
    }
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
