//! Picture files.
//!
//! Alpha is dropped (the colour under it stays), EXIF orientation is not applied, animations give their first
//! picture, 16-bit and gray files become 8-bit RGB: what PIL's `convert("RGB")` does, with which the reference
//! embeddings were made.

use super::error::contained;
use super::settings::{MAX_PIXELS, size_allowed};
use graft_base::frame::Rgb;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits};
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

/// Largest picture file that is read, in bytes.
const MAX_FILE: u64 = 64 << 20;
/// Most memory for one decoded picture: [`MAX_PIXELS`] at 4 bytes, or fewer with deeper pixels.
const MAX_DECODED: u64 = 4 * MAX_PIXELS;

/// Why a picture file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file could not be read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// Over a limit; nothing was decoded.
    #[error("too large: {0}")]
    TooLarge(String),
    /// Not a picture, or a damaged one.
    #[error("not a readable picture ({0}); jpeg, png, bmp, gif, webp, tiff and pnm are known")]
    Broken(String),
}

/// Reads a picture file of at most 64 MiB and 40 megapixels.
///
/// # Errors
/// [`ImageError`] without the path, which the caller knows.
pub fn read_image(path: &Path) -> Result<Rgb, ImageError> {
    let meta = std::fs::metadata(path)?;
    if !meta.is_file() {
        // Opening a FIFO would block.
        return Err(ImageError::Broken("not a regular file".into()));
    }
    if meta.len() > MAX_FILE {
        return Err(ImageError::TooLarge(format!("{} MiB, at most {}", meta.len() >> 20, MAX_FILE >> 20)));
    }
    let mut bytes = Vec::with_capacity(meta.len() as usize);
    File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
    decode_image(&bytes)
}

/// Decodes the bytes of a picture file; the format is found from the bytes.
///
/// # Errors
/// As [`read_image`].
pub fn decode_image(bytes: &[u8]) -> Result<Rgb, ImageError> {
    if bytes.len() as u64 > MAX_FILE {
        return Err(ImageError::TooLarge(format!("{} MiB, at most {}", bytes.len() >> 20, MAX_FILE >> 20)));
    }
    let mut too_large = None;
    let decoded = contained(|| {
        let broken = |error: image::ImageError| error.to_string();
        let mut reader =
            ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
        let mut limits = Limits::default();
        limits.max_alloc = Some(MAX_DECODED);
        reader.limits(limits.clone());
        let mut decoder = reader.into_decoder().map_err(broken)?;
        let (width, height) = decoder.dimensions();
        if width == 0 || height == 0 {
            return Err("it has no pixels".into());
        }
        if !size_allowed(width, height) || decoder.total_bytes() > MAX_DECODED {
            let text = format!("{width} x {height}, at most {} megapixels", MAX_PIXELS / 1_000_000);
            too_large = Some(text.clone());
            return Err(text);
        }
        decoder.set_limits(limits).map_err(broken)?;
        let picture = DynamicImage::from_decoder(decoder).map_err(broken)?.into_rgb8();
        Ok(Rgb { width, height, bytes: picture.into_raw() })
    });
    match (decoded, too_large) {
        (Ok(picture), _) if picture.bytes.len() == 3 * picture.width as usize * picture.height as usize => {
            Ok(picture)
        }
        (Ok(_), _) => Err(ImageError::Broken("its size is not what its header says".into())),
        (Err(_), Some(text)) => Err(ImageError::TooLarge(text)),
        (Err(text), None) => Err(ImageError::Broken(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SAMPLE_QUALITY, encode_jpeg};
    use image::{ImageFormat, Luma, Rgba};
    use proptest::prelude::*;

    fn written(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        picture.into().write_to(&mut out, format).unwrap();
        out.into_inner()
    }

    #[test]
    fn lossless_formats_come_back_exactly() {
        let picture = image::RgbImage::from_fn(7, 5, |x, y| image::Rgb([x as u8 * 30, y as u8 * 40, 9]));
        use ImageFormat::{Bmp, Png, Pnm, Tiff, WebP};
        for format in [Png, Bmp, Pnm, Tiff, WebP] {
            let back = decode_image(&written(picture.clone(), format)).unwrap();
            assert_eq!((back.width, back.height, &back.bytes), (7, 5, picture.as_raw()), "{format:?}");
        }
    }

    #[test]
    fn alpha_is_dropped_and_deep_and_gray_become_rgb() {
        let clear = image::RgbaImage::from_pixel(2, 2, Rgba([10, 20, 30, 0]));
        assert_eq!(&decode_image(&written(clear, ImageFormat::Png)).unwrap().bytes[..3], [10, 20, 30]);
        let deep = image::ImageBuffer::<Luma<u16>, _>::from_pixel(2, 2, Luma([0x8000]));
        let level =
            decode_image(&written(DynamicImage::ImageLuma16(deep), ImageFormat::Png)).unwrap().bytes[0];
        assert!((127..=129).contains(&level));
    }

    #[test]
    fn a_jpeg_file_and_a_jpeg_frame_give_the_same_pixels() {
        let jpeg = encode_jpeg(&crate::pattern::Scene::new(Default::default()).render(3), SAMPLE_QUALITY);
        let mut frame = Rgb::default();
        crate::jpeg::decode_jpeg(&jpeg, &mut frame).unwrap();
        assert_eq!(decode_image(&jpeg).unwrap(), frame);
    }

    #[test]
    fn huge_and_broken_files_are_refused() {
        let bomb = b"P6 50000 50000 255\n\0\0\0";
        assert!(matches!(decode_image(bomb), Err(ImageError::TooLarge(_))));
        assert!(matches!(decode_image(b"hello"), Err(ImageError::Broken(_))));
        assert!(matches!(decode_image(b""), Err(ImageError::Broken(_))));
        assert!(matches!(read_image(Path::new("no/such.png")), Err(ImageError::Io(_))));
        assert!(matches!(read_image(Path::new(".")), Err(ImageError::Broken(_))));
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(MAX_FILE + 1).unwrap();
        assert!(matches!(read_image(file.path()), Err(ImageError::TooLarge(_))));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            magic in prop::sample::select(vec![
                &b""[..], b"\xFF\xD8\xFF\xE0", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF89a", b"RIFF\x40\0\0\0WEBPVP8 ",
                b"II*\0\x08\0\0\0", b"P6 3 3 255\n",
            ]),
            tail in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = decode_image(&[magic, &tail].concat());
        }
    }
}
