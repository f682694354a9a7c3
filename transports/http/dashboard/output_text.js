// What a runner wrote, made harmless for the eye: no escape codes, no characters that hide or turn text around.

const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g;
const INVISIBLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

export function plain(text) {
  return text.replace(ESCAPES, "").replace(INVISIBLE, "\u00b7");
}
