import React from "react";

interface Props {
  title: string;
}

export const View = ({ title }: Props) => {
  const [x, set] = React.useState(0);
  return <Card onClick={() => set(1)}>{title}</Card>;
};
