//! The two checks of OSDP frames.

/// CRC-16 of a frame: polynomial 0x1021, not reflected, start 0x1D0F. The mark byte before the frame is not part of it.
pub(super) fn crc16(bytes: &[u8]) -> u16 {
    bytes
        .iter()
        .fold(0x1D0F, |crc, byte| (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }))
}

/// The older one-byte check: what makes the sum of the frame 0 modulo 256.
pub(super) fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_of_a_captured_poll_is_found() {
        assert_eq!(crc16(&[0x53, 0x01, 0x08, 0x00, 0x06, 0x60]), 0x66D8);
    }

    #[test]
    fn a_frame_and_its_checksum_sum_to_nothing() {
        let frame = [0x53, 0x01, 0x07, 0x00, 0x02, 0x60];
        let sum = frame.iter().fold(checksum(&frame), |sum, byte| sum.wrapping_add(*byte));
        assert_eq!(sum, 0);
    }
}
