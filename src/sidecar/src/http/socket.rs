use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use tokio::net::{UnixListener, UnixStream};

/// Who may connect: the owner and the group.
const MODE: u32 = 0o660;

/// Listens on a Unix socket. One of a process that has ended is replaced, nothing else is.
pub async fn socket(path: &Path) -> io::Result<UnixListener> {
    let left = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if left && UnixStream::connect(path).await.is_err() {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(MODE))?;
    Ok(listener)
}
