import { count } from "../app/format";
import { Confirm } from "../shell/dialog";
import { purgePhotos, type ToPurge } from "../state/photo-actions";

interface PurgeQuestionProps {
  what: ToPurge;
  onPurge?: () => void;
  onClose: () => void;
}

/** Asked before files are deleted: that cannot be undone. */
export function PurgeQuestion({ what, onPurge, onClose }: PurgeQuestionProps) {
  const photos = what.many === null ? "all chosen photos" : count(what.many, "photo");
  return (
    <Confirm
      title={`Delete ${photos} for good?`}
      text={`${what.many === 1 ? "Its file is" : "Their files are"} deleted. This cannot be undone.`}
      action="Delete for good"
      onConfirm={() => {
        onPurge?.();
        void purgePhotos(what);
      }}
      onClose={onClose}
    />
  );
}
