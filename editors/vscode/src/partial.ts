/** What part of a suggestion an edit took: VS Code tells extensions only when all of one is accepted. */

export interface Shown {
  /** The command's argument that names the suggestion to the server. */
  readonly id: string;
  readonly uri: string;
  /** Where the suggestion's text begins, as an offset in the document, in UTF-16 units. */
  readonly start: number;
  readonly texts: readonly string[];
}

export interface Inserted {
  readonly uri: string;
  readonly offset: number;
  /** How much was replaced, in UTF-16 units. */
  readonly replaced: number;
  readonly text: string;
}

/**
 * Follows one suggestion while it is typed or taken.
 *
 * Words are taken whole: what comes as one edit of two or more characters was not typed.
 */
export class Partial {
  private shown: Shown | undefined;
  private taken = 0;

  show(shown: Shown): void {
    if (this.shown && this.sameText(shown)) {
      this.shown = { ...this.shown, id: shown.id };
    } else {
      this.shown = shown;
      this.taken = 0;
    }
  }

  forget(): void {
    this.shown = undefined;
  }

  /** Characters (code points) that this edit took of the suggestion, with its id; undefined where it took none. */
  edited(change: Inserted): { id: string; characters: number } | undefined {
    const shown = this.shown;
    if (!shown || change.uri !== shown.uri) {
      return undefined;
    }
    const expected = shown.start + this.taken;
    const text = this.matching(change.text);
    if (change.replaced !== 0 || change.offset !== expected || text === undefined) {
      this.forget();
      return undefined;
    }
    this.taken += change.text.length;
    if (this.taken >= text.length) {
      this.forget(); // all of it: the command of the item tells the server
      return undefined;
    }
    const characters = [...change.text].length;
    return characters > 1 ? { id: shown.id, characters } : undefined;
  }

  private matching(inserted: string): string | undefined {
    return this.shown?.texts.find((text) => text.startsWith(inserted, this.taken));
  }

  /** After a part was taken, the rest comes as a suggestion of its own, under another id. */
  private sameText(next: Shown): boolean {
    const shown = this.shown;
    return (
      shown !== undefined &&
      shown.uri === next.uri &&
      next.start === shown.start + this.taken &&
      shown.texts.some((text) => next.texts[0] === text.slice(this.taken))
    );
  }
}
