//! QEMU's machine protocol, as far as tests need it.

use serde_json::{Value, json};
use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// Runs one command on the machine behind `socket`; its answer.
pub fn execute(
    socket: &Path,
    command: &str,
    arguments: Value,
) -> io::Result<Value> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let hello = json!({"execute": "qmp_capabilities"});
    let wanted = json!({"execute": command, "arguments": arguments});
    let mut answer = Value::Null;
    for request in [hello, wanted] {
        writeln!(stream, "{request}")?;
        // The greeting and events come in between.
        loop {
            let line = lines.next().ok_or(io::ErrorKind::UnexpectedEof)??;
            let mut reply: Value = serde_json::from_str(&line)?;
            if let Some(error) = reply.get("error") {
                return Err(io::Error::other(format!("{command}: {error}")));
            }
            if reply.get("return").is_some() {
                answer = reply["return"].take();
                break;
            }
        }
    }
    Ok(answer)
}
