//! What PID 1 answers: no record of it makes the supervisor panic, or say success of a failure.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use ringfence_init::wire::{Message as _, Record};
use ringfence_linux::{Host, Plan, Request, plan, resolve};
use ringfence_policy::Policy;

fn a_plan() -> &'static Plan {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    PLAN.get_or_init(|| {
        let policy = Policy::builtin("default").expect("a built-in profile");
        let request = Request {
            command: vec!["/bin/true".into()],
            directory: "/usr".into(),
            environment: [("PATH".into(), "/usr/bin:/bin".into())].into(),
            home: "/nonexistent".into(),
            passed: Vec::new(),
            hidden: Vec::new(),
            terminal: None,
        };
        let host = Host::read().expect("the host can be read");
        let resolved = resolve(&policy, &request, &host).expect("/bin/true can be resolved");
        plan(&policy, &resolved, &host, 7).expect("a plan")
    })
}

fuzz_target!(|data: &[u8]| {
    let mut record = Record::default();
    let bytes = record.bytes_mut();
    let length = bytes.len().min(data.len());
    bytes[..length].copy_from_slice(&data[..length]);
    let problem = ringfence_linux::fuzzed::step_failed(a_plan(), &record);
    assert!(!problem.to_string().is_empty(), "a failure without words");
});
