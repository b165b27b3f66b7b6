//! Splits a stream of JPEG files, with anything between them, into the files.

use super::picture::Picture;
use crate::jpeg::MAX_JPEG;

/// Finds whole JPEG files by walking their markers, so that a thumbnail inside one is not taken for the next.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    buffer: Vec<u8>,
    /// Everything before this index has been looked at.
    at: usize,
    place: Place,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before a start marker.
    #[default]
    Outside,
    /// Between header segments; `at` is at a marker.
    Header,
    /// Inside entropy-coded bytes.
    Scan,
}

impl Splitter {
    /// Adds bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that wait for the rest of their file.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole file. Damaged ones are passed over.
    pub fn next(&mut self) -> Option<Picture> {
        loop {
            let more = match self.place {
                Place::Outside => self.seek(),
                Place::Header => self.header(),
                Place::Scan => match self.scan() {
                    Step::File(bytes) => match Picture::jpeg(bytes) {
                        Some(picture) => return Some(picture),
                        None => true,
                    },
                    Step::On => true,
                    Step::Wait => false,
                },
            };
            if !more && self.buffer.len() <= MAX_JPEG {
                return None;
            }
            if !more {
                self.abandon();
            }
        }
    }

    /// Drops everything up to the next start marker.
    fn seek(&mut self) -> bool {
        let found = self.buffer.windows(2).position(|pair| pair == [0xFF, 0xD8]);
        match found {
            Some(start) => {
                self.begin(start);
                true
            }
            None => {
                // The last byte may be the first half of a marker.
                let keep = usize::from(self.buffer.last() == Some(&0xFF));
                self.buffer.drain(..self.buffer.len() - keep);
                false
            }
        }
    }

    fn begin(&mut self, start: usize) {
        self.buffer.drain(..start);
        self.at = 2;
        self.place = Place::Header;
    }

    /// Gives this file up and looks for the next one inside it.
    fn abandon(&mut self) {
        self.buffer.drain(..self.buffer.len().min(2));
        self.at = 0;
        self.place = Place::Outside;
    }

    fn header(&mut self) -> bool {
        match self.buffer[self.at..] {
            [0xFF, 0xFF, ..] => self.at += 1,
            [0xFF, 0xD8, ..] => self.begin(self.at),
            [0xFF, 0x01 | 0xD0..=0xD7, ..] => self.at += 2,
            [0xFF, 0x00 | 0xD9, ..] => self.abandon(),
            [0xFF, marker, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([high, low]));
                if length < 2 {
                    self.abandon();
                } else if self.buffer.len() < self.at + 2 + length {
                    return false;
                } else {
                    self.at += 2 + length;
                    if marker == 0xDA {
                        self.place = Place::Scan;
                    }
                }
            }
            [] | [0xFF] | [0xFF, _] | [0xFF, _, _] => return false,
            _ => self.abandon(),
        }
        true
    }

    fn scan(&mut self) -> Step {
        while let Some(skip) = self.buffer[self.at..].iter().position(|&byte| byte == 0xFF) {
            self.at += skip;
            match self.buffer.get(self.at + 1) {
                None => return Step::Wait,
                Some(0x00 | 0xD0..=0xD7) => self.at += 2,
                Some(0xFF) => self.at += 1,
                Some(0xD9) => {
                    let rest = self.buffer.split_off(self.at + 2);
                    let file = std::mem::replace(&mut self.buffer, rest);
                    self.at = 0;
                    self.place = Place::Outside;
                    return Step::File(file);
                }
                Some(0xD8) => {
                    // The last file was cut off.
                    self.begin(self.at);
                    return Step::On;
                }
                Some(_) => {
                    self.place = Place::Header;
                    return Step::On;
                }
            }
        }
        self.at = self.buffer.len();
        Step::Wait
    }
}

enum Step {
    File(Vec<u8>),
    On,
    Wait,
}
