//! The fuzzer: libFuzzer's arguments, on the target that `LACUNA_FUZZ` names. Start it through
//! `tests/fuzz/fuzz`, which builds it so that it follows the code.
#![no_main]

use std::sync::LazyLock;

use lacuna_fuzz::{Target, target};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("LACUNA_FUZZ").unwrap_or_default();
    target(&name).expect("LACUNA_FUZZ names a target: see tests/fuzz/src/lib.rs")
});

fuzz_target!(|data: &[u8]| TARGET(data));
