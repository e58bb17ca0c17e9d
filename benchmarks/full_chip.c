// A tick simulator in plain C, event-driven, for the chips of chips.full_chip: what somebody who knows the machine
// would write in an afternoon. Every thread takes its share of the cores of all streams.

#include <stdint.h>
#include <string.h>

enum { AXONS = 256, NEURONS = 256, TYPES = 4, BYTES = NEURONS / 8, LANES = 16 };

typedef int16_t Lanes __attribute__((vector_size(2 * LANES), aligned(2)));  // GCC and Clang make vectors of these

// Adds up the weights of the axons with a spike, and clears the axons.
static void integrate(const uint8_t *restrict crossbar, const uint8_t *restrict type,
                      const int16_t (*restrict weight)[NEURONS], uint8_t *restrict axons, int16_t *restrict total) {
  const Lanes bit = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, -32768};
  memset(total, 0, NEURONS * sizeof *total);
  for (int word = 0; word < AXONS / 8; word++) {
    uint64_t eight;
    memcpy(&eight, axons + 8 * word, 8);
    if (!eight) continue;  // no spike among eight axons: the common case
    for (int axon = 8 * word; axon < 8 * word + 8; axon++) {
      if (!axons[axon]) continue;
      const uint8_t *row = crossbar + axon * BYTES;
      const int16_t *w = weight[type[axon]];
      for (int first = 0; first < NEURONS; first += LANES) {
        int16_t crosspoints;
        memcpy(&crosspoints, row + first / 8, 2);
        Lanes set = (crosspoints & bit) == bit;
        *(Lanes *)(total + first) += set & *(const Lanes *)(w + first);
      }
    }
  }
  memset(axons, 0, AXONS);
}

static void fire(const int16_t *restrict total, const int32_t *restrict leak, const int32_t *restrict threshold,
                 const int32_t *restrict floor, int32_t *restrict potential, uint8_t *restrict spikes) {
  for (int neuron = 0; neuron < NEURONS; neuron++) {
    int32_t v = potential[neuron] + total[neuron] + leak[neuron];
    uint8_t spike = v >= threshold[neuron];
    v -= -(int32_t)spike & threshold[neuron];
    potential[neuron] = v > floor[neuron] ? v : floor[neuron];
    spikes[neuron] = spike;
  }
}

void run(int batch, int cores, int ticks, int threads, const uint8_t *crossbars, const uint8_t *types,
         const int16_t (*weights)[TYPES][NEURONS], const int32_t *leak, const int32_t *threshold, const int32_t *floor,
         const int32_t *target, int32_t *potential, uint8_t *now, uint8_t *next, uint8_t *spikes) {
  for (int tick = 0; tick < ticks; tick++) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (long each = 0; each < (long)batch * cores; each++) {
      long core = each / batch, stream = each % batch;  // all streams of a core: its crossbar stays in the cache
      long here = (stream * cores + core) * NEURONS, at = core * NEURONS;
      int16_t total[NEURONS];
      integrate(crossbars + core * AXONS * BYTES, types + core * AXONS, weights[core], now + here, total);
      fire(total, leak + at, threshold + at, floor + at, potential + here, spikes + here);
      uint8_t *axons = next + stream * cores * AXONS;
      for (int word = 0; word < NEURONS / 8; word++) {
        uint64_t eight;
        memcpy(&eight, spikes + here + 8 * word, 8);
        if (!eight) continue;
        for (int neuron = 8 * word; neuron < 8 * word + 8; neuron++)
          if (spikes[here + neuron]) axons[target[at + neuron]] = 1;  // one neuron an axon: no two threads write one
      }
    }
    uint8_t *swap = now;
    now = next, next = swap;
  }
}
