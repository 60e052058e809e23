//! Users and groups of this host, from the files of passwd(5), group(5), subuid(5).

use std::path::Path;

use ringfence_policy::Problem;

use crate::look;

/// A line of /etc/passwd.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: String,
}

fn accounts() -> Result<Vec<Account>, Problem> {
    Ok(lines_of("/etc/passwd")?.lines().filter_map(parse_account).collect())
}

/// A file that a small system need not have.
fn lines_of(file: &str) -> Result<String, Problem> {
    let path = Path::new(file);
    let text = look::present(look::content(path)).map_err(|e| look::unknown(path, e))?;
    Ok(String::from_utf8_lossy(&text.unwrap_or_default()).into_owned())
}

fn parse_account(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let (name, uid, gid) = (fields.next()?, fields.nth(1)?, fields.next()?);
    let home = fields.nth(1)?.to_owned();
    Some(Account { name: name.to_owned(), uid: uid.parse().ok()?, gid: gid.parse().ok()?, home })
}

/// The account of a user id.
///
/// # Errors
/// The accounts cannot be read.
pub(crate) fn by_id(uid: u32) -> Result<Option<Account>, Problem> {
    Ok(accounts()?.into_iter().find(|account| account.uid == uid))
}

/// The account of a name. A number is no name: a string taken for the wrong id has been a hole elsewhere.
///
/// # Errors
/// The accounts cannot be read.
pub(crate) fn by_name(name: &str) -> Result<Option<Account>, Problem> {
    Ok(accounts()?.into_iter().find(|account| account.name == name))
}

/// The main group of a user id.
///
/// # Errors
/// The accounts cannot be read.
pub(crate) fn group_of(uid: u32) -> Result<Option<u32>, Problem> {
    Ok(by_id(uid)?.map(|account| account.gid))
}

/// The first range that subuid(5) or subgid(5) gives a user, by name or by number: (first, count).
///
/// # Errors
/// The file cannot be read.
pub(crate) fn subordinate_range(
    file: &str,
    name: Option<&str>,
    uid: u32,
) -> Result<Option<(u32, u32)>, Problem> {
    Ok(parse_range(&lines_of(file)?, name, uid))
}

fn parse_range(text: &str, name: Option<&str>, uid: u32) -> Option<(u32, u32)> {
    let number = uid.to_string();
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        let (first, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let ours = owner == number || Some(owner) == name;
        (ours && count > 0).then_some((first, count))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_parse() {
        let account = parse_account("alice:x:1000:1001:Alice:/home/alice:/bin/sh").unwrap();
        assert_eq!((account.uid, account.gid, account.home.as_str()), (1000, 1001, "/home/alice"));
        assert!(parse_account("broken:x:one:2").is_none());
    }

    #[test]
    fn ranges_belong_to_a_name_or_a_number() {
        let text = "bob:1:2\n1000:200000:65536\nalice:100000:65536\n";
        assert_eq!(parse_range(text, Some("alice"), 5), Some((100_000, 65_536)));
        assert_eq!(parse_range(text, None, 1000), Some((200_000, 65_536)));
        assert_eq!(parse_range(text, Some("eve"), 6), None);
    }
}
