//! A connection that can be cut: after so many bytes of an answer, in order or by reset.
//!
//! A line that is dropped without having been shut down is reset (RST): that is what a dying server looks like.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::faults::{CutAt, Ending};

/// A plain or an encrypted connection.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// How the next answer is to be cut; shared with the one who answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Cutter(Arc<Mutex<Option<Cut>>>);

#[derive(Clone, Copy, Debug)]
struct Cut {
    left: Left,
    ending: Ending,
}

#[derive(Clone, Copy, Debug)]
enum Left {
    Bytes(usize),
    /// Not before the head is through; the last bytes seen of it, and how much of the body comes.
    Head {
        last: [u8; 4],
        body: usize,
    },
}

impl Cutter {
    /// The next answer ends there. `body` is its body's length.
    pub(super) fn set(&self, at: CutAt, body: usize, ending: Ending) {
        let left = match at {
            CutAt::Byte(bytes) => Left::Bytes(bytes),
            CutAt::HalfTheBody => Left::Head { last: [0; 4], body: body / 2 },
        };
        *self.lock() = Some(Cut { left, ending });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Cut>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cut {
    /// How many of these bytes may still go.
    fn allow(&mut self, bytes: &[u8]) -> usize {
        match &mut self.left {
            Left::Bytes(left) => bytes.len().min(*left),
            Left::Head { last, body } => {
                for (index, byte) in bytes.iter().enumerate() {
                    last.rotate_left(1);
                    last[3] = *byte;
                    if last == b"\r\n\r\n" {
                        let through = index + 1;
                        let allowed = bytes.len().min(through + *body);
                        self.left = Left::Bytes(through + *body);
                        return allowed;
                    }
                }
                bytes.len()
            }
        }
    }

    fn went(&mut self, bytes: usize) {
        if let Left::Bytes(left) = &mut self.left {
            *left -= bytes.min(*left);
        }
    }
}

/// A connection that nobody serves yet: dropped, it is reset, too.
pub(super) struct Accepted(Option<TcpStream>);

impl Accepted {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self(Some(stream))
    }

    pub(super) fn take(mut self) -> Option<TcpStream> {
        self.0.take()
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        if let Some(stream) = &self.0 {
            let _ = stream.set_zero_linger();
        }
    }
}

pub(super) struct Line {
    stream: Stream,
    cutter: Cutter,
    in_order: bool,
}

impl Line {
    pub(super) fn new(stream: Stream, cutter: Cutter) -> Self {
        Self { stream, cutter, in_order: false }
    }

    fn tcp(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => tls.get_ref().0,
        }
    }

    fn inner(&mut self) -> Pin<&mut (dyn ReadWrite + '_)> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp),
            Stream::Tls(tls) => Pin::new(tls.as_mut()),
        }
    }
}

trait ReadWrite: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> ReadWrite for T {}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.in_order {
            let _ = self.tcp().set_zero_linger();
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_read(context, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let cut = *self.cutter.lock();
        let Some(mut cut) = cut else { return self.inner().poll_write(context, bytes) };
        let allowed = cut.allow(bytes);
        if allowed == 0 {
            // What was let through must reach the other side before the end does.
            std::task::ready!(self.inner().poll_flush(context))?;
            if cut.ending == Ending::Closed {
                std::task::ready!(self.inner().poll_shutdown(context))?;
                self.in_order = true;
            }
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let went = std::task::ready!(self.inner().poll_write(context, bytes.get(..allowed).unwrap_or(bytes)))?;
        // Only now: a write that was not ready is asked again with the same bytes.
        cut.went(went);
        *self.cutter.lock() = Some(cut);
        Poll::Ready(Ok(went))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.in_order = true;
        self.inner().poll_shutdown(context)
    }
}
