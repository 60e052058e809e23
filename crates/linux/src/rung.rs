//! The rungs below the full one: what leads to each, what each needs, and what is asked of it.

use std::path::Path;

use ringfence_init::abi::{self, capability};
use ringfence_init::sys;
use ringfence_policy::{Access, Guarantee, IdMap, Policy, Problem, Rung};

use crate::host::Host;
use crate::identity;
use crate::layout::{Node, Rank};
use crate::probe::namespaces;
use crate::probe::trial::{Call, Failed, Named as _, in_child};
use crate::resolve::{Resolved, Source};
use crate::why::{self, Lack};

/// A rung that failed for the host's reason, and the next one.
#[derive(Clone, Debug)]
pub struct Descent {
    pub(crate) rung: Rung,
    pub(crate) lack: Lack,
}

impl Descent {
    /// What the next rung holds only in part.
    #[must_use]
    pub const fn guarantee(&self) -> Guarantee {
        match self.rung {
            Rung::Full | Rung::Nested => Guarantee::Processes,
            Rung::Root => Guarantee::Privileges,
        }
    }

    /// The policy does not do without it.
    #[must_use]
    pub fn refusal(&self) -> Problem {
        self.lack.refusal(self.guarantee())
    }
}

/// A sandbox in the user namespace of its caller, who is root there.
#[derive(Clone, Debug)]
pub(crate) struct Unmapped {
    /// Why.
    pub(crate) lack: Lack,
    /// The host's user and group that the program is.
    pub(crate) ids: (u32, u32),
}

/// What is only partly held then, and why that needs a waiver.
pub(crate) const UNMAPPED: &str = "a capability that a flaw of the kernel gave it would be the host's";

/// What root needs where no user namespace gives it to PID 1.
const ROOT_NEEDS: [u32; 5] = [
    capability::SETGID,
    capability::SETUID,
    capability::SETPCAP,
    capability::NET_ADMIN,
    capability::SYS_ADMIN,
];

impl Host {
    /// Takes the next rung, for the reason that a step failed for. `random` decides the host id, as in
    /// [`plan`](crate::plan()).
    ///
    /// # Errors
    /// What stands in for what is missing cannot be looked at; there is no id for the program.
    pub fn below(self, descent: &Descent, policy: &Policy, random: u32) -> Result<Self, Problem> {
        let rung = self.rung.max(descent.rung);
        let lack = descent.lack.clone();
        match descent.rung {
            Rung::Full => Ok(self),
            Rung::Nested => {
                let proc = Source::at(Path::new("/proc"))?;
                Ok(Self { rung, outer_proc: Some((lack, proc)), ..self })
            }
            Rung::Root => {
                let ids = identity::host_ids(policy, &self, random, 1)?;
                Ok(Self { rung, unmapped: Some(Unmapped { lack, ids }), ..self })
            }
        }
    }

    /// The rung for a host that gives root no user namespace: asked when PID 1 could not be started. It is tried in
    /// a throw-away child, because what refused the start may have been anything.
    #[must_use]
    pub fn without_user_namespaces(&self) -> Option<Descent> {
        if self.unmapped.is_some() || !self.caller_is_root() || !self.can(&ROOT_NEEDS) {
            return None;
        }
        // Where the trial itself failed, the start has failed for something else.
        let tried = in_child(|| sys::unshare(abi::CLONE_NEWUSER).of(Call::Unshare));
        let Err(Failed::At(Call::Unshare, number)) = tried else { return None };
        Some(Descent { rung: Rung::Root, lack: why::namespaces(&["user"], number) })
    }

    /// The rungs below the full one that a run here comes down to, as far as they can be told without one: what the
    /// better ones need is tried in throw-away children.
    ///
    /// # Errors
    /// The policy does not do without what one of them holds only in part.
    pub fn descents(&self, policy: &Policy) -> Result<Vec<Descent>, Problem> {
        let lack = namespaces::no_fresh_proc();
        let proc = lack.map(|lack| Descent { rung: Rung::Nested, lack });
        let descents: Vec<_> = self.without_user_namespaces().into_iter().chain(proc).collect();
        match descents.iter().find(|descent| !policy.waived.contains(&descent.guarantee())) {
            Some(descent) => Err(descent.refusal()),
            None => Ok(descents),
        }
    }

    /// The program's ids, as it sees them.
    pub(crate) fn ids_inside(&self, policy: &Policy) -> (u32, u32) {
        match &self.unmapped {
            Some(unmapped) => unmapped.ids,
            None => (policy.process.uid.unwrap_or(self.uid), policy.process.gid.unwrap_or(self.gid)),
        }
    }
}

/// What needs a user namespace cannot be asked for where there is none.
///
/// # Errors
/// It was; or the rung's own guarantee is not waived.
pub(crate) fn check(policy: &Policy, resolved: &Resolved, host: &Host) -> Result<(), Problem> {
    let Some(Unmapped { lack, ids }) = &host.unmapped else { return Ok(()) };
    if !policy.waived.contains(&Guarantee::Privileges) {
        return Err(lack.refusal(Guarantee::Privileges));
    }
    let refuse = |code: &str, what: String, remedy: &str| {
        let why = format!("{what} needs a user namespace: {}", lack.why);
        Err(Problem::request(code, why).remedy(format!("{}; or {remedy}", lack.remedy)))
    };
    let asked = [(policy.process.uid, ids.0, "--uid"), (policy.process.gid, ids.1, "--gid")];
    for (number, is, flag) in asked {
        if let Some(number) = number.filter(|number| *number != is) {
            return refuse("user", format!("{flag} {number} inside"), "--user chooses who it is on the host");
        }
    }
    if policy.process.id_map == IdMap::Range {
        return refuse("id-map", "a range of ids".to_owned(), "--id-map=single");
    }
    if !policy.capabilities.is_empty() {
        return refuse(
            "capability",
            "a capability that is kept".to_owned(),
            "keep none: it would be the host's",
        );
    }
    resolved.layout.nodes().try_for_each(|(path, rank, node)| may_reach(path, rank, node, *ids))
}

/// Nothing maps the owner of a granted file to the program: its mode decides, as on the host.
fn may_reach(path: &Path, rank: Rank, node: &Node, (uid, gid): (u32, u32)) -> Result<(), Problem> {
    let Node::Bind { source, access, .. } = node else { return Ok(()) };
    if rank <= Rank::Toolchain {
        return Ok(());
    }
    let class = if source.owner.0 == uid {
        6
    } else if source.owner.1 == gid {
        3
    } else {
        0
    };
    let search = if source.is_folder() { 1 } else { 0 };
    let (needed, word) = match access {
        Access::Read => (4 | search, "read"),
        Access::Write => (6 | search, "write"),
    };
    if source.mode >> class & needed == needed {
        return Ok(());
    }
    let why = format!(
        "user {uid} may not {word} `{}`, which belongs to user {} (mode {:o}), and without a user namespace no mount \
         maps its owner to the program",
        path.display(),
        source.owner.0,
        source.mode & 0o7777
    );
    let remedy = format!("--user={} runs it as one who may, or change its mode", source.owner.0);
    let remedy = if source.owner.0 == 0 {
        "give it to a user, and run it with --user=NAME".to_owned()
    } else {
        remedy
    };
    Err(Problem::request("reach", why).at(path).errno("EACCES").remedy(remedy))
}
