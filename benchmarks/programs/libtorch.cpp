// The first result of MobileNet v2 in LibTorch.
#include <cstdio>
#include <torch/script.h>

int main(int, char **arguments) { // model, file of outputs, file of inputs
    const torch::InferenceMode guard;
    auto network = torch::jit::load(arguments[1]);
    auto x = torch::empty({1, 3, 224, 224});
    FILE *file = fopen(arguments[3], "rb");
    if (!file || fread(x.data_ptr<float>(), x.nbytes(), 1, file) != 1) return 1;
    fclose(file);
    const auto y = network.forward({x}).toTensor().contiguous();
    if (!(file = fopen(arguments[2], "wb")) || fwrite(y.data_ptr<float>(), y.nbytes(), 1, file) != 1) return 1;
    fclose(file);
    puts("ready");
    fflush(stdout);
    getchar();
}
