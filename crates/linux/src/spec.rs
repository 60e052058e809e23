//! SPEC.md's table of what holds each guarantee on each rung: made from the receipts themselves, so that it cannot say
//! anything else.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use ringfence_policy::{Beyond, Guarantee, GuaranteeRow, OutputLimit, Policy, Rung, Size, Status};

use crate::host::Host;
use crate::layout::Layout;
use crate::plan::plan;
use crate::resolve::{Resolved, SameFile, Start};
use crate::rung::Descent;
use crate::why::Lack;

/// As it was when the test was built: a test may run on a machine without it.
const SPECIFICATION: &str = include_str!("../../../SPEC.md");

/// Where the table begins and ends in SPEC.md.
const BEGINS: &str = "<!-- the table by rung begins: `cargo test -p ringfence-linux spec` makes it -->\n";
const ENDS: &str = "<!-- the table by rung ends -->\n";

/// Root of a host with everything, on a rung.
fn host(rung: Rung) -> Host {
    let best = Host {
        uid: 0,
        gid: 0,
        groups: Vec::new(),
        capabilities: !0,
        id_map: vec![(0, 0, u32::MAX)],
        landlock: Some(7),
        ..Host::read().unwrap()
    };
    match rung {
        Rung::Full => best,
        Rung::Nested | Rung::Root => {
            let descent = Descent { rung, lack: Lack::new("the host's reason", "") };
            best.below(&descent, &Policy::builtin("default").unwrap(), 7).unwrap()
        }
    }
}

fn resolved() -> Resolved {
    let program = Path::new("/usr/bin/true");
    Resolved {
        layout: Layout::default(),
        program: program.to_owned(),
        program_file: SameFile { device: 0, inode: 0 },
        start: Start { dynamic: false, by_env: false },
        arguments: vec![OsString::from("true")],
        environment: BTreeMap::new(),
        directory: "/".into(),
        notes: Vec::new(),
        unprotected: Vec::new(),
        toolchains: Vec::new(),
        unsearched: Vec::new(),
        passed: Vec::new(),
        terminal: None,
    }
}

/// What a run under `default` promises there, with every guarantee waived that can be.
fn receipt(rung: Rung) -> Vec<GuaranteeRow> {
    let mut policy = Policy::builtin("default").unwrap();
    policy.limits.timeout = Some(std::time::Duration::from_secs(1));
    policy.limits.output = Some(OutputLimit { size: Size(1), beyond: Beyond::Kill });
    // What a rung below holds only in part is waived, or there would be no receipt.
    policy.waived.extend([Guarantee::Processes, Guarantee::Privileges]);
    plan(&policy, &resolved(), &host(rung), 7).unwrap().receipt().to_vec()
}

fn table() -> String {
    let rungs = Rung::ALL.map(|rung| (rung, receipt(rung)));
    let heads: Vec<_> = rungs.iter().map(|(rung, _)| rung.name()).collect();
    let mut text =
        format!("| guarantee | {} |\n| --- |{}\n", heads.join(" | "), " --- |".repeat(heads.len()));
    for guarantee in Guarantee::ALL {
        let cell = |(_, rows): &(Rung, Vec<GuaranteeRow>)| {
            let row = rows.iter().find(|row| row.guarantee == guarantee)?;
            let status = match row.status {
                Status::Enforced => "",
                Status::Partial => "**partial**: ",
                Status::Waived => "**waived**: ",
            };
            Some(format!("{status}{}", row.layers.join(", ")))
        };
        let cells: Option<Vec<_>> = rungs.iter().map(cell).collect();
        // Limits of a cgroup are the same on every rung: they are no row of a policy without them.
        if let Some(cells) = cells {
            let _to_a_string = writeln!(text, "| {guarantee} | {} |", cells.join(" | "));
        }
    }
    text
}

#[test]
fn the_table_of_the_specification_is_what_receipts_say() {
    let after = SPECIFICATION.split_once(BEGINS).expect("SPEC.md says where its table by rung begins").1;
    let written = after.split_once(ENDS).expect("SPEC.md says where its table by rung ends").0;
    let right = table();
    assert!(written == right, "SPEC.md's table by rung must be:\n\n{right}");
}
