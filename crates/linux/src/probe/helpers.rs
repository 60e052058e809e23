//! newuidmap and newgidmap: needed for `--id-map=range` by an ordinary user, and for nothing else.

use super::{Mechanism, Subject};
use crate::host::Host;
use crate::identity;
use crate::why::{self, Lack};

const HELPERS: Subject = Subject::beside("id-helpers", &[]);

pub(crate) fn id_helpers() -> Mechanism {
    let host = match Host::read() {
        Ok(host) => host,
        Err(problem) => {
            return HELPERS.missing(Lack::new(problem.message, problem.remedy.unwrap_or_default()));
        }
    };
    if host.uid == 0 {
        return HELPERS.works(Some("root needs none".to_owned()));
    }
    if why::has_no_new_privileges() {
        let why = "no_new_privs is set on this process, so that no set-user-id program has an effect";
        return HELPERS.missing(Lack::new(why, "start it from a process without no_new_privs"));
    }
    match identity::range_of(&host) {
        Ok(count) => HELPERS.works(Some(format!("{count} ids"))),
        Err(problem) => HELPERS.missing(Lack::new(problem.message, problem.remedy.unwrap_or_default())),
    }
}
