//! Random bytes, from the host's own source.

use crate::ctx::WasiCtx;
use crate::errno::Errno;
use crate::memory::GuestMemory;

pub(crate) fn random_get(
    _: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    buffer: u32,
    length: u32,
) -> Result<(), Errno> {
    getrandom::fill(memory.slice_mut(buffer, length)?).map_err(|_| Errno::Io)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WasiCtxBuilder;

    #[test]
    fn only_the_buffer_is_filled() {
        let mut ctx = WasiCtxBuilder::new().build().unwrap();
        let mut bytes = [0; 64];
        let mut memory = GuestMemory::new(&mut bytes);
        random_get(&mut ctx, &mut memory, 8, 48).unwrap();
        assert_eq!((memory.read_u64(0), memory.read_u64(56)), (Ok(0), Ok(0)));
        assert_ne!(memory.slice(8, 48).unwrap(), &[0; 48]);
        assert_eq!(random_get(&mut ctx, &mut memory, 8, 57), Err(Errno::Fault));
    }
}
