import { useQuery } from "@tanstack/react-query";
import { whoami } from "../api/queries";

/** Whether the session may change things; a viewer only looks. */
export function useMayAct(): boolean {
  const role = useQuery(whoami).data?.role;
  return role === "submitter" || role === "admin";
}
