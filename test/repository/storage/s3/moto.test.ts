import { testS3Storage } from "./s3-storage-kind.js";

await testS3Storage("moto");
