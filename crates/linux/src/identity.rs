//! Who the program is: its ids inside, the ids that they are on the host, and who writes that down.
//!
//! An ordinary user is mapped to themselves. Host root is not special: the program gets an unprivileged host
//! id that nobody else has, because even without a capability root's id owns root's files.

use ringfence_init::abi::capability;
use ringfence_policy::{Guarantee, HostUser, IdMap, Policy, Problem, Reason, Refusal};

use crate::host::Host;
use crate::resolve::accounts;
use crate::why::{self, Lack};

/// CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN: what root needs to write another's map and to map a mount's ids.
const ROOT_NEEDS: [u32; 3] = [6, 7, 21];

/// First of the host ids that `auto` picks from: above what system services and containers are given
/// (systemd's UIDS-GIDS documentation: the range from here to 2^31 - 1 belongs to nobody).
const AUTO_FIRST: u32 = 0x7000_0000;
/// How many ids `auto` picks from.
const AUTO_COUNT: u32 = 0x0fff_0000;
/// Ids in one block: all that a 16-bit system has.
const BLOCK: u32 = 0x1_0000;

/// One line of an id map: `count` ids from `inside` are the host's from `outside`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) inside: u32,
    pub(crate) outside: u32,
    pub(crate) count: u32,
}

/// Who writes the id maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    /// The sandbox itself, before it is anything: one line, the caller's own id (user_namespaces(7)).
    Itself,
    /// The supervisor, who is root.
    Root,
    /// newuidmap and newgidmap.
    Helpers,
    /// Nobody: there is no user namespace, and the ids are the host's.
    Nobody,
}

/// The program's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) users: Vec<Extent>,
    pub(crate) groups: Vec<Extent>,
    pub(crate) writer: Writer,
    /// The host ids of the program of root: files granted to it are mapped to them where they can be.
    pub(crate) mapped_mounts: Option<(u32, u32)>,
    /// The sandbox drops the caller's supplementary groups.
    pub(crate) drops_groups: bool,
    /// The caller is root of this host and says nothing else.
    pub(crate) caller_is_root: bool,
}

impl Identity {
    /// Decides who the program is.
    ///
    /// # Errors
    /// Root's identity cannot be shed here, or ids were asked for that this caller cannot have.
    pub(crate) fn decide(policy: &Policy, host: &Host, random: u32) -> Result<Self, Problem> {
        if let Some(unmapped) = &host.unmapped {
            return Ok(Self::unmapped(unmapped.ids));
        }
        let uid = policy.process.uid.unwrap_or(host.uid);
        let gid = policy.process.gid.unwrap_or(host.gid);
        let caller_is_root = host.caller_is_root();
        let waived = policy.waived.contains(&Guarantee::HostRoot);
        if caller_is_root && (!waived || policy.process.user != HostUser::Auto) {
            return Self::for_root(policy, host, random, uid, gid);
        }
        if policy.process.user != HostUser::Auto {
            let why = "--user chooses a host identity, which only root can give".to_owned();
            return Err(Problem::request("user", why).remedy("for ids inside use --uid and --gid"));
        }
        if host.uid == 0 && !why::may_map_user_0(host.capabilities) {
            let Lack { why, remedy, .. } = why::user_0();
            return Err(Problem::new(Reason::Refused, "namespaces", why).remedy(remedy));
        }
        let me = |inside, outside| vec![Extent { inside, outside, count: 1 }];
        let single = Self {
            uid,
            gid,
            users: me(uid, host.uid),
            groups: me(gid, host.gid),
            writer: Writer::Itself,
            mapped_mounts: None,
            drops_groups: false,
            caller_is_root,
        };
        match policy.process.id_map {
            IdMap::Single => Ok(single),
            IdMap::Range => single.with_subordinate_ids(host),
        }
    }

    fn for_root(policy: &Policy, host: &Host, random: u32, uid: u32, gid: u32) -> Result<Self, Problem> {
        if !host.can(&ROOT_NEEDS) {
            return Err(refuse_root("root lacks CAP_SETUID, CAP_SETGID or CAP_SYS_ADMIN here"));
        }
        let count = if policy.process.id_map == IdMap::Range { BLOCK } else { 1 };
        let (host_uid, host_gid) = host_ids(policy, host, random, count)?;
        let map = |inside: u32, outside: u32| {
            if count == 1 {
                vec![Extent { inside, outside, count }]
            } else {
                around(inside, outside, outside.saturating_add(1), count - 1)
            }
        };
        Ok(Self {
            uid,
            gid,
            users: map(uid, host_uid),
            groups: map(gid, host_gid),
            writer: Writer::Root,
            mapped_mounts: Some((host_uid, host_gid)),
            drops_groups: true,
            caller_is_root: true,
        })
    }

    /// The host's own ids, taken by setresuid(2).
    fn unmapped((uid, gid): (u32, u32)) -> Self {
        Self {
            uid,
            gid,
            users: Vec::new(),
            groups: Vec::new(),
            writer: Writer::Nobody,
            mapped_mounts: Some((uid, gid)),
            drops_groups: true,
            caller_is_root: true,
        }
    }

    /// What PID 1 needs to set up, one bit each.
    pub(crate) fn setup_capabilities(&self) -> u64 {
        // Only to write a limit of its own user namespace: elsewhere it would be the host's.
        let needless = if self.writer == Writer::Nobody { Some(capability::SYS_RESOURCE) } else { None };
        let needed = capability::SETUP.into_iter().filter(|number| Some(*number) != needless);
        needed.fold(0, |set, number| set | 1 << number)
    }

    /// The caller's own id where it was, and the subordinate ids of subuid(5) and subgid(5) around it.
    fn with_subordinate_ids(self, host: &Host) -> Result<Self, Problem> {
        let [(first_user, users), (first_group, groups)] = subordinate_ranges(host)?;
        Ok(Self {
            users: around(self.uid, host.uid, first_user, users),
            groups: around(self.gid, host.gid, first_group, groups),
            // newgidmap forbids setgroups(2) when the caller's own group is mapped too, so its groups stay.
            writer: Writer::Helpers,
            ..self
        })
    }
}

/// The host's user and group that a program of root runs as: those that were asked for, or some of nobody.
///
/// # Errors
/// There are no such, or they are root's.
pub(crate) fn host_ids(policy: &Policy, host: &Host, random: u32, count: u32) -> Result<(u32, u32), Problem> {
    let (host_uid, host_gid) = match &policy.process.user {
        HostUser::Auto => {
            let id = auto_id(host, random, count)
                .ok_or_else(|| refuse_root("this user namespace has no id to spare for the program"))?;
            (id, id)
        }
        HostUser::Uid(id) => (*id, accounts::group_of(*id)?.unwrap_or(*id)),
        HostUser::Name(name) => accounts::by_name(name)?
            .map(|account| (account.uid, account.gid))
            .ok_or_else(|| Problem::request("user", format!("no user is called `{name}` on this host")))?,
    };
    if host_uid == 0 || host_gid == 0 {
        let why = format!("--user is host root (user {host_uid}, group {host_gid})");
        return Err(Problem::request("user", why).remedy("--allow-degraded=host-root runs it as host root"));
    }
    Ok((host_uid, host_gid))
}

/// First id and count of the caller's ranges, of users and of groups.
fn subordinate_ranges(host: &Host) -> Result<[(u32, u32); 2], Problem> {
    if host.id_helpers.is_none() {
        let why = "newuidmap and newgidmap are not installed, so a range of ids cannot be mapped".to_owned();
        return Err(
            Problem::request("id-map", why).remedy("install them (package uidmap), or use --id-map=single")
        );
    }
    let name = accounts::by_id(host.uid)?.map(|account| account.name);
    let range = |file: &str| {
        accounts::subordinate_range(file, name.as_deref(), host.uid)?.ok_or_else(|| {
            Problem::request("id-map", format!("{file} gives user {} no ids", host.uid))
                .at(file)
                .remedy("give it some with `usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST USER`")
        })
    };
    Ok([range("/etc/subuid")?, range("/etc/subgid")?])
}

/// How many ids an ordinary caller can map with the helpers.
///
/// # Errors
/// None, and why.
pub(crate) fn range_of(host: &Host) -> Result<u32, Problem> {
    let [(_, users), (_, groups)] = subordinate_ranges(host)?;
    Ok(users.min(groups))
}

/// `inside` is `outside`; the `count` ids from `first` fill the places below and above.
fn around(inside: u32, outside: u32, first: u32, count: u32) -> Vec<Extent> {
    let below = inside.min(count);
    let above = count - below;
    let mut extents = Vec::new();
    if below > 0 {
        extents.push(Extent { inside: 0, outside: first, count: below });
    }
    extents.push(Extent { inside, outside, count: 1 });
    if above > 0 {
        extents.push(Extent { inside: inside + 1, outside: first + below, count: above });
    }
    extents
}

/// An id of nobody: random, so that two sandboxes of root are two users to the kernel.
fn auto_id(host: &Host, random: u32, block: u32) -> Option<u32> {
    let wanted = AUTO_FIRST + (random % (AUTO_COUNT / block)) * block;
    let exists = |id: u32| host.id_map.iter().any(|(inside, _, count)| id >= *inside && id - inside < *count);
    if exists(wanted) && exists(wanted + block - 1) {
        return Some(wanted);
    }
    // Root of a container: the upper half of the ids that it has, where no account is.
    let (inside, _, count) = host.id_map.iter().max_by_key(|(_, _, count)| *count)?;
    let half = count / 2;
    // 65534 is everybody's `nobody`.
    (half > 1000).then(|| inside + half + random % (half - 2))
}

fn refuse_root(why: &str) -> Problem {
    let remedy = "run it as an ordinary user".to_owned();
    Refusal { guarantee: Guarantee::HostRoot, why: why.to_owned(), remedy: Some(remedy) }.into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn host(uid: u32, capabilities: u64, id_map: &[(u32, u32, u32)]) -> Host {
        Host {
            uid,
            gid: uid,
            groups: Vec::new(),
            capabilities,
            umask: 0o022,
            id_map: id_map.to_vec(),
            namespaces: BTreeMap::new(),
            proc_covered: Vec::new(),
            hard_limits: BTreeMap::new(),
            id_helpers: None,
            processors: 1,
            rung: ringfence_policy::Rung::Full,
            outer_proc: None,
            unmapped: None,
            landlock: None,
            cgroups: crate::cgroup::Found::default(),
        }
    }

    const ALL_IDS: [(u32, u32, u32); 1] = [(0, 0, u32::MAX)];

    #[test]
    fn an_ordinary_user_is_mapped_to_themselves() {
        let policy = Policy::builtin("default").unwrap();
        let identity = Identity::decide(&policy, &host(1000, 0, &ALL_IDS), 7).unwrap();
        assert_eq!(identity.users, [Extent { inside: 1000, outside: 1000, count: 1 }]);
        assert_eq!((identity.writer, identity.mapped_mounts), (Writer::Itself, None));
    }

    #[test]
    fn root_gets_an_id_of_nobody() {
        let policy = Policy::builtin("default").unwrap();
        for random in [0, 7, u32::MAX] {
            let identity = Identity::decide(&policy, &host(0, !0, &ALL_IDS), random).unwrap();
            let [extent] = identity.users.as_slice() else { panic!("{identity:?}") };
            assert!(
                extent.inside == 0 && extent.outside >= AUTO_FIRST && i32::try_from(extent.outside).is_ok()
            );
            assert!(identity.drops_groups && identity.mapped_mounts.is_some());
        }
    }

    #[test]
    fn root_that_cannot_shed_its_identity_is_refused_unless_waived() {
        let mut policy = Policy::builtin("default").unwrap();
        let weak = host(0, 1 << 31, &ALL_IDS);
        let problem = Identity::decide(&policy, &weak, 7).unwrap_err();
        assert!(problem.to_string().contains("--allow-degraded=host-root"), "{problem}");
        policy = policy.waive(Guarantee::HostRoot);
        let identity = Identity::decide(&policy, &weak, 7).unwrap();
        assert_eq!(identity.users, [Extent { inside: 0, outside: 0, count: 1 }]);
        for ids in [&ALL_IDS[..], &[(0, 1000, 1)]] {
            let problem = Identity::decide(&policy, &host(0, 0, ids), 7).unwrap_err();
            assert!(problem.to_string().contains("CAP_SETFCAP"), "{problem}");
        }
    }

    #[test]
    fn root_of_a_container_stays_inside_its_ids() {
        let policy = Policy::builtin("default").unwrap();
        let identity = Identity::decide(&policy, &host(0, !0, &[(0, 100_000, 65_536)]), 99_999).unwrap();
        assert!((32_768..65_536).contains(&identity.users[0].outside), "{identity:?}");
    }

    #[test]
    fn a_mapped_root_alone_is_an_ordinary_user() {
        let policy = Policy::builtin("default").unwrap();
        let identity = Identity::decide(&policy, &host(0, !0, &[(0, 1000, 1)]), 7).unwrap();
        assert_eq!(identity.writer, Writer::Itself);
    }

    #[test]
    fn only_root_chooses_a_host_user() {
        let mut policy = Policy::builtin("default").unwrap();
        policy.process.user = HostUser::Uid(5);
        assert!(Identity::decide(&policy, &host(1000, 0, &ALL_IDS), 7).is_err());
    }

    #[test]
    fn ids_fill_the_places_around_the_callers_own() {
        let extents = around(1000, 1000, 100_000, 65_536);
        assert_eq!(extents[0], Extent { inside: 0, outside: 100_000, count: 1000 });
        assert_eq!(extents[1], Extent { inside: 1000, outside: 1000, count: 1 });
        assert_eq!(extents[2], Extent { inside: 1001, outside: 101_000, count: 64_536 });
        assert_eq!(around(0, 1000, 5, 10).len(), 2);
    }
}
