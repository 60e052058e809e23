//! The first root of a machine, as an archive.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::debian::list;
use crate::failure::Failure;

/// A cpio archive as the kernel unpacks it (Documentation/driver-api/early-userspace/buffer-format.rst). All is
/// root's.
#[derive(Default)]
pub(crate) struct Archive {
    pub(crate) bytes: Vec<u8>,
}

impl Archive {
    pub(crate) fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        // Magic, inode, mode, uid, gid, links, time, size, device (2), special device (2), name's length, checksum.
        let (size, length) = (content.len(), name.len() + 1);
        let header = format!(
            "070701{0:08x}{mode:08x}{0:08x}{0:08x}{1:08x}{0:08x}{size:08x}{0:032x}{length:08x}{0:08x}",
            0, 1
        );
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(content);
        self.align();
    }

    /// A program, from a file here.
    pub(crate) fn file(&mut self, name: &str, path: &Path) -> Result<(), Failure> {
        let content = fs::read(path).map_err(|error| Failure::io("read", path, &error))?;
        self.entry(name, 0o100_755, &content);
        Ok(())
    }

    /// Ends the archive, and writes it.
    pub(crate) fn end(&mut self, image: &Path) -> Result<(), Failure> {
        self.entry("TRAILER!!!", 0, &[]);
        fs::write(image, &self.bytes).map_err(|error| Failure::io("write", image, &error))
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Everything below a folder, parents before children.
    pub(crate) fn tree(&mut self, folder: &Path, prefix: &str) -> Result<(), Failure> {
        for path in list(folder)? {
            let name = format!("{prefix}{}", path.file_name().unwrap_or_default().to_string_lossy());
            let failure = |error| Failure::io("read", &path, &error);
            let found = path.symlink_metadata().map_err(failure)?;
            let mode = found.permissions().mode();
            if found.is_dir() {
                self.entry(&name, mode, &[]);
                self.tree(&path, &format!("{name}/"))?;
            } else if found.is_symlink() {
                let target = fs::read_link(&path).map_err(failure)?;
                self.entry(&name, mode, target.to_string_lossy().as_bytes());
            } else {
                self.entry(&name, mode, &fs::read(&path).map_err(failure)?);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_what_the_kernel_unpacks() {
        let mut archive = Archive::default();
        archive.entry("a/file", 0o100_755, b"text!");
        let text = String::from_utf8(archive.bytes).unwrap();
        assert_eq!(text.len(), 110 + 10 + 8);
        assert!(text.starts_with("07070100000000000081ed"), "{text}");
        assert_eq!(&text[54..62], "00000005");
        assert_eq!(&text[94..102], "00000007");
        assert_eq!(&text[110..], "a/file\0\0\0\0text!\0\0\0");
    }
}
