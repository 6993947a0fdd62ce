//! `cargo bench -p microbench`: the cases of the instruction counts in time, layer by layer.
//!
//! Times of a busy machine mean nothing by themselves. Criterion keeps those of the last run and says what has changed:
//! run it before and after.

use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput};
use microbench::cases::CASES;

/// Each sample gets everything ready anew, which may take a thousand times as long as what is measured.
const SAMPLES: usize = 10;
const MEASURED: Duration = Duration::from_millis(30);
const WARM_UP: Duration = Duration::from_millis(5);

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(SAMPLES)
        .measurement_time(MEASURED)
        .warm_up_time(WARM_UP)
        .configure_from_args();
    let mut layers = criterion.benchmark_group("layers");
    layers.sampling_mode(SamplingMode::Flat);
    for case in CASES {
        layers.throughput(Throughput::Elements(case.prepare().units));
        layers.bench_function(case.name, |bencher| {
            bencher.iter_custom(|times| {
                (0..times)
                    .map(|_| {
                        let mut work = case.prepare();
                        let start = Instant::now();
                        work.run();
                        start.elapsed()
                    })
                    .sum()
            });
        });
    }
    layers.finish();
    criterion.final_summary();
}
