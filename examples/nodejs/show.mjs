// node show.mjs prod
import { AmiClient } from "./latest-ami.mjs";

const environment = process.argv[2] ?? "prod";
try {
  const client = new AmiClient({ region: process.env.AWS_REGION ?? "us-east-1" });
  const { amiId, metadata } = await client.getLatestAmi(environment);
  console.log(`Latest AMI: ${amiId}`);
  console.log(`Docker image: ${metadata.docker_image}`);
  console.log(`Commit: ${metadata.commit_sha ?? "unknown"}`);
  console.log(`Created: ${metadata.creation_date}`);
} catch (error) {
  console.error(`${error.name}: ${error.message}`);
  process.exitCode = 1;
}
