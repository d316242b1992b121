declare module "justified-layout" {
  interface Box {
    top: number;
    left: number;
    width: number;
    height: number;
  }
  interface Options {
    containerWidth: number;
    containerPadding: number;
    boxSpacing: number;
    targetRowHeight: number;
    targetRowHeightTolerance: number;
    showWidows: boolean;
  }
  export default function justifiedLayout(ratios: number[], options: Options): { containerHeight: number; boxes: Box[] };
}
