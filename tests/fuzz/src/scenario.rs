//! A world of the simulator in which the fuzzer throws the dice: what the core finds is what the
//! oracle knows, lane by lane, whether its cores are lost on the way and go on from what was saved
//! or not.

use lacuna_sim::rng::Rng;
use lacuna_sim::traffic::generate_with;
use lacuna_sim::trial::{Failure, Terms, run, terms};

pub(crate) fn scenario(data: &[u8]) {
    let scenario = generate_with(Rng::of(data));
    let checkers = usize::from(data.first().copied().unwrap_or(0) % 3) + 1;
    let lost = data.get(1).filter(|byte| byte.is_multiple_of(2)).map(|byte| u64::from(*byte));
    let terms = Terms { lost, ..terms(1, &scenario, checkers) };
    if let Err(Failure { after, what, .. }) = run(&scenario.lines, terms) {
        let lines: Vec<String> = scenario.lines.iter().map(ToString::to_string).collect();
        panic!("after {after} lines: {what}\n{}", lines.join("\n"));
    }
}
