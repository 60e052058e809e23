//! Go's own downloads: `go1.22.1`, which `go install golang.org/dl/go1.22.1` makes, stands for
//! `~/sdk/go1.22.1/bin/go`.

use std::path::Path;

use ringfence_policy::Problem;

use super::{Request, Shim, files, version};

pub(super) fn shim(path: &Path, _real: &Path, request: &Request) -> Result<Option<Shim>, Problem> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !name.starts_with("go1.") || !version::is_plain(name) {
        return Ok(None);
    }
    let program = request.home.join("sdk").join(name).join("bin/go");
    Ok(files::is_program(&program)?.then(|| Shim::of(program)))
}
